/* Tests of the tokenizer, its vocabulary readers, languages, word splitting and streamed text,
 * on small vocabularies made here: right answers worked out by hand, and input meant to break
 * it.                                                                                            */
#include "support/support.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "text/language.h"
#include "text/pretokenize.h"
#include "text/stream.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

enum { N_OTHER_SPECIALS = 2 + 6 + 1501 }; /* besides the languages */

/* --- a vocabulary of all bytes and a few words ---------------------------------------------- */

struct small_vocab {
    char byte_text[256];
    const char *bytes[300];
    uint32_t lengths[300];
    struct text_vocab vocab;
};

static void small_vocab_init(struct small_vocab *v, const char *const *words, size_t n_words)
{
    for (int i = 0; i < 256; i++) {
        v->byte_text[i] = (char)i;
        v->bytes[i] = &v->byte_text[i];
        v->lengths[i] = 1;
    }
    for (size_t i = 0; i < n_words; i++) {
        v->bytes[256 + i] = words[i];
        v->lengths[256 + i] = (uint32_t)strlen(words[i]);
    }
    v->vocab = (struct text_vocab){.n_tokens = 256 + n_words,
                                   .bytes = v->bytes,
                                   .lengths = v->lengths,
                                   .n_model_vocab = 256 + n_words + N_OTHER_SPECIALS + 2};
}

static struct text_tokenizer *make(const struct text_vocab *vocab)
{
    struct text_tokenizer *t = NULL;
    struct au_fault fault = {0};
    au_test_ok(text_tokenizer_create(vocab, &t, &fault), &fault);
    return t;
}

static struct text_tokenizer *make_small(void)
{
    static const char *const WORDS[] = {"ab", "aa", "aaaa", "bc", " a", " ab", "...", "()"};
    struct small_vocab v;
    small_vocab_init(&v, WORDS, 8);
    return make(&v.vocab);
}

static void assert_encodes(const struct text_tokenizer *t, const char *text,
                           const int32_t *expected, size_t n_expected)
{
    int32_t ids[64];
    size_t n = 0;
    assert_int_equal(text_encode(t, text, strlen(text), ids, 64, &n), AURICLE_OK);
    assert_int_equal(n, n_expected);
    assert_memory_equal(ids, expected, n * sizeof *ids);
}
#define ASSERT_ENCODES(t, text, ...)                        \
    assert_encodes(t, text, (const int32_t[]){__VA_ARGS__}, \
                   sizeof((const int32_t[]){__VA_ARGS__}) / sizeof(int32_t))

/* --- pieces --------------------------------------------------------------------------------- */

static void pieces_follow_the_pattern(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t first;
    } cases[] = {
        {"'s", 2},
        {"'ll go", 3},
        {"'S", 1},
        {"'", 1},
        {" 's", 2},
        {"don't", 3},
        {" word", 5},
        {"  word", 1},
        {"   ", 3},
        {"\n\nx", 1},
        {"\nx", 1},
        {" \n", 2},
        {"12ab", 2},
        {" 12", 3},
        {"x1", 1},
        {"?!a", 2},
        {" ...", 4},
        {"\xC3\xA9t", 3},
        {" \xC2\xA0", 3},
        {"\xFF\xFE", 2},
        {"e\xCC\x81", 1},                /* a combining accent is neither letter nor number */
        {"\xE0\xA4\xB9\xE0\xA4\xBF", 3}, /* nor is a vowel sign */
        {"\xE2\x85\xA7x", 3},            /* a Roman numeral is a number */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const size_t n = text_piece_bytes(cases[i].text, strlen(cases[i].text));
        if (n != cases[i].first)
            fail_msg("\"%s\": %zu bytes, %zu expected", cases[i].text, n, cases[i].first);
    }
}

/* --- merging -------------------------------------------------------------------------------- */

static void lowest_id_merges_first(void **state)
{
    (void)state;
    struct text_tokenizer *t = make_small();
    ASSERT_ENCODES(t, "ab", 256);
    ASSERT_ENCODES(t, "abc", 256, 'c'); /* "ab" ranks before "bc" */
    ASSERT_ENCODES(t, "bc", 259);
    ASSERT_ENCODES(t, "aaa", 257, 'a'); /* leftmost pair first */
    ASSERT_ENCODES(t, "aaaaaaa", 258, 257, 'a');
    ASSERT_ENCODES(t, "x ab", 'x', 261);
    ASSERT_ENCODES(t, "x aab", 'x', 260, 256); /* "ab" before "aa", which then has no pair */
    text_tokenizer_destroy(t);
}

static void merge_list_decides_when_there_is_one(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"ab", "bc", "abc", " ab"};
    /* "b c" stands first although "ab" has the lower id */
    static const char *const MERGES[] = {"b c", "a b", "a bc", "\xC4\xA0 ab"};
    struct small_vocab v;
    small_vocab_init(&v, WORDS, 4);
    v.vocab.merges = MERGES;
    v.vocab.n_merges = 4;
    struct text_tokenizer *t = make(&v.vocab);
    ASSERT_ENCODES(t, "abc", 258);
    ASSERT_ENCODES(t, "abcc", 258, 'c');
    ASSERT_ENCODES(t, "ab", 256);
    ASSERT_ENCODES(t, " ab", 259);
    ASSERT_ENCODES(t, "aab", 'a', 256);
    text_tokenizer_destroy(t);
}

static void merges_of_unknown_tokens_are_refused(void **state)
{
    (void)state;
    static const char *const WORDS[] = {"ab"};
    static const char *const BAD[] = {"a zz", "ab", "", " a", "a ", "a b b", "b a", "zz a"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct small_vocab v;
        struct au_fault fault = {0};
        struct text_tokenizer *t = NULL;
        small_vocab_init(&v, WORDS, 1);
        v.vocab.merges = &BAD[i];
        v.vocab.n_merges = 1;
        assert_int_equal(text_tokenizer_create(&v.vocab, &t, &fault), AURICLE_E_FORMAT);
        assert_non_null(strstr(fault.text, "merge 1"));
        assert_null(t);
    }
}

static void bytes_without_token_are_left_out(void **state)
{
    (void)state;
    const char *const bytes[] = {"a", "b", "ab"};
    const uint32_t lengths[] = {1, 1, 2};
    const struct text_vocab vocab = {
        .n_tokens = 3, .bytes = bytes, .lengths = lengths, .n_model_vocab = 3 + N_OTHER_SPECIALS};
    struct text_tokenizer *t = make(&vocab);
    ASSERT_ENCODES(t, "abxab", 2, 2);
    ASSERT_ENCODES(t,
                   "a\xC3\xA9"
                   "b",
                   0, 1);
    text_tokenizer_destroy(t);
}

static void too_many_tokens_for_the_caller(void **state)
{
    (void)state;
    struct text_tokenizer *t = make_small();
    int32_t ids[2] = {-5, -5};
    size_t n = 77;
    assert_int_equal(text_encode(t, "xyz", 3, ids, 2, &n), AURICLE_E_LIMIT);
    assert_int_equal(text_encode(t, "bc bc", 5, ids, 1, &n), AURICLE_E_LIMIT);
    assert_int_equal(n, 77);
    assert_int_equal(text_encode(t, "", 0, NULL, 0, &n), AURICLE_OK);
    assert_int_equal(n, 0);
    text_tokenizer_destroy(t);
}

/* --- special tokens ------------------------------------------------------------------------- */

static void sizes_give_the_special_ids(void **state)
{
    (void)state;
    struct text_tokenizer *t = make_small();
    const struct text_specials *s = text_tokenizer_specials(t);
    size_t n;
    assert_int_equal(s->eot, 264);
    assert_int_equal(s->sot, 265);
    assert_int_equal(s->n_languages, 2);
    assert_int_equal(s->language[1], 267);
    assert_int_equal(s->language[2], -1);
    assert_int_equal(s->translate, 268);
    assert_int_equal(s->timestamp_begin, 274);
    assert_true(s->multilingual);
    assert_int_equal(text_tokenizer_size(t), 274 + 1501);
    assert_true(text_token_is_special(t, 264));
    assert_false(text_token_is_special(t, 263));
    assert_memory_equal(text_token_bytes(t, 267, &n), "<|zh|>", 6);
    assert_int_equal(n, 6);
    text_token_bytes(t, -1, &n);
    assert_int_equal(n, 0);
    text_token_bytes(t, 274 + 1501, &n);
    assert_int_equal(n, 0);
    text_tokenizer_destroy(t);
}

static void sizes_of_no_whisper_model_are_refused(void **state)
{
    (void)state;
    static const size_t N_MODEL[] = {
        0, 1, 256, 256 + N_OTHER_SPECIALS - 1, 256 + N_OTHER_SPECIALS + 101, SIZE_MAX};
    for (size_t i = 0; i < sizeof N_MODEL / sizeof N_MODEL[0]; i++) {
        struct small_vocab v;
        struct text_tokenizer *t = NULL;
        struct au_fault fault = {0};
        small_vocab_init(&v, NULL, 0);
        v.vocab.n_model_vocab = N_MODEL[i];
        assert_int_not_equal(text_tokenizer_create(&v.vocab, &t, &fault), AURICLE_OK);
        assert_true(strlen(fault.text) > 20);
        assert_null(t);
    }
}

static void ids_outside_the_model_are_refused(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"<|endoftext|>", "<|startoftranscript|>"};
    static const int32_t BAD_IDS[] = {-1, INT32_MIN, 1000, INT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        const int32_t ids[] = {256, BAD_IDS[i]};
        struct small_vocab v;
        struct text_tokenizer *t = NULL;
        struct au_fault fault = {0};
        small_vocab_init(&v, NULL, 0);
        v.vocab.special_text = TEXTS;
        v.vocab.special_id = ids;
        v.vocab.n_special = 2;
        v.vocab.n_model_vocab = 300;
        assert_int_equal(text_tokenizer_create(&v.vocab, &t, &fault), AURICLE_E_FORMAT);
    }
}

/* The decoder tells text from times by their ids alone. */
static void timestamps_before_other_marks_are_refused(void **state)
{
    (void)state;
    enum { N = 10, BEGIN = 300 };
    static const char *const TEXTS[N] = {"<|endoftext|>", "<|startoftranscript|>",
                                         "<|translate|>", "<|transcribe|>",
                                         "<|startoflm|>", "<|startofprev|>",
                                         "<|nospeech|>",  "<|notimestamps|>",
                                         "<|de|>",        "<|0.00|>"};
    for (int i = -1; i < N - 1; i++) {
        int32_t ids[N] = {256, 257, 258, 259, 260, 261, 262, 263, 264, BEGIN};
        struct small_vocab v;
        struct text_tokenizer *t = NULL;
        struct au_fault fault = {0};
        small_vocab_init(&v, NULL, 0);
        v.vocab.special_text = TEXTS;
        v.vocab.special_id = ids;
        v.vocab.n_special = N;
        v.vocab.n_model_vocab = 2000;
        if (i >= 0)
            ids[i] = BEGIN + 1500;
        enum auricle_error error = text_tokenizer_create(&v.vocab, &t, &fault);
        assert_int_equal(error, i < 0 ? AURICLE_OK : AURICLE_E_UNSUPPORTED);
        if (i >= 0)
            assert_non_null(strstr(fault.text, TEXTS[i]));
        text_tokenizer_destroy(t);
    }
}

static void a_language_behind_the_timestamps_is_taken(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"<|endoftext|>", "<|startoftranscript|>", "<|0.00|>",
                                        "<|yue|>"};
    static const int32_t IDS[] = {256, 257, 300, 1801};
    struct small_vocab v;
    small_vocab_init(&v, NULL, 0);
    v.vocab.special_text = TEXTS;
    v.vocab.special_id = IDS;
    v.vocab.n_special = 4;
    v.vocab.n_model_vocab = 1802;
    struct text_tokenizer *t = make(&v.vocab);
    assert_int_equal(text_tokenizer_specials(t)->language[99], 1801);
    text_tokenizer_destroy(t);
}

static void names_win_over_sizes(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {"<|endoftext|>",  "<|startoftranscript|>", "<|ja|>",
                                        "<|nocaptions|>", "<|notimestamps|>",      "<|house|>"};
    static const int32_t IDS[] = {256, 300, 301, 302, 303, 299};
    struct small_vocab v;
    small_vocab_init(&v, NULL, 0);
    v.vocab.special_text = TEXTS;
    v.vocab.special_id = IDS;
    v.vocab.n_special = 6;
    v.vocab.n_model_vocab = 0;
    struct text_tokenizer *t = make(&v.vocab);
    const struct text_specials *s = text_tokenizer_specials(t);
    size_t n;
    assert_int_equal(s->sot, 300);
    assert_int_equal(s->no_speech, 302);
    assert_int_equal(s->translate, -1);
    assert_int_equal(s->timestamp_begin, 304);
    assert_int_equal(s->n_languages, 8);
    assert_int_equal(s->language[7], 301); /* Japanese */
    assert_int_equal(s->language[0], -1);
    assert_memory_equal(text_token_bytes(t, 299, &n), "<|house|>", 9);
    assert_memory_equal(text_token_bytes(t, 354, &n), "<|1.00|>", 8);
    assert_memory_equal(text_token_bytes(t, 302, &n), "<|nocaptions|>", 14);
    text_tokenizer_destroy(t);
}

/* --- decoding, streaming, words ------------------------------------------------------------- */

static void decoding_leaves_timestamps_out(void **state)
{
    (void)state;
    struct text_tokenizer *t = make_small();
    const int32_t ids[] = {265, 274, 261, 0xC3, 274 + 50, 0xA9, 0xFF, 264, -3, 5000};
    struct au_buf out;
    au_buf_init(&out, 0);
    assert_int_equal(text_decode(t, ids, 10, &out), AURICLE_OK);
    au_buf_putc(&out, '\0');
    assert_string_equal(out.data, "<|startoftranscript|> ab\xC3\xA9\xEF\xBF\xBD<|endoftext|>");
    au_buf_deinit(&out);
    text_tokenizer_destroy(t);
}

/* Any cut of any bytes, pushed piece by piece, gives what decoding them at once would. */
static void streamed_text_equals_whole_text(void **state)
{
    (void)state;
    static const char TEXT[] = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x8E\x89\xFF"
                               "b\xE4\xBD"
                               "c\xF0\x9F";
    static const char WANT[] = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x8E\x89\xEF\xBF\xBD"
                               "b\xEF\xBF\xBD"
                               "c\xEF\xBF\xBD";
    struct au_test_random random = {7};
    for (int round = 0; round < 500; round++) {
        struct text_stream stream;
        struct au_buf out;
        text_stream_init(&stream);
        au_buf_init(&out, 0);
        for (size_t at = 0; at < sizeof TEXT - 1;) {
            size_t n = au_test_random_u64(&random) % 4;
            n = n < sizeof TEXT - 1 - at ? n : sizeof TEXT - 1 - at;
            assert_int_equal(text_stream_push(&stream, TEXT + at, n, &out), AURICLE_OK);
            assert_true(out.len == 0 || au_utf8_valid(out.data, out.len));
            at += n;
        }
        assert_int_equal(text_stream_finish(&stream, &out), AURICLE_OK);
        au_buf_putc(&out, '\0');
        assert_string_equal(out.data, WANT);
        au_buf_deinit(&out);
    }
}

static void assert_words(const char *language, const int32_t *ids, size_t n, const size_t *expected,
                         size_t n_expected)
{
    struct text_tokenizer *t = make_small();
    size_t ends[64];
    assert_int_equal(text_split_words(t, ids, n, language, ends), n_expected);
    assert_memory_equal(ends, expected, n_expected * sizeof *ends);
    text_tokenizer_destroy(t);
}
#define IDS(...) (const int32_t[]){__VA_ARGS__}, sizeof((const int32_t[]){__VA_ARGS__}) / 4
#define ENDS(...) \
    (const size_t[]){__VA_ARGS__}, sizeof((const size_t[]){__VA_ARGS__}) / sizeof(size_t)

static void words_begin_at_blanks_and_punctuation(void **state)
{
    (void)state;
    assert_words("en", IDS(261, 'c', 260, 264), ENDS(2, 3, 4));
    assert_words("en", IDS('a', 'b', '?', '!', 'c'), ENDS(2, 3, 5));
    assert_words("en", IDS(261, 263, 262), ENDS(1, 3)); /* "()" is punctuation, "..." is not */
    assert_words("en", IDS(264, 'a', 265), ENDS(2, 3));
    assert_words("en", IDS('a', '\n', 'b'), ENDS(1, 3));
    assert_words("ja", IDS('a', 'b', ' ', 'c'), ENDS(1, 2, 3, 4));
    size_t end;
    struct text_tokenizer *t = make_small();
    assert_int_equal(text_split_words(t, NULL, 0, "en", &end), 0);
    text_tokenizer_destroy(t);
}

static void words_wait_for_whole_characters(void **state)
{
    (void)state;
    assert_words("zh", IDS(0xE4, 0xBD, 0xA0, 'a'), ENDS(3, 4));
    assert_words("zh", IDS(0xFF, 0xE4, 0xBD, 0xA0), ENDS(1, 4));
    assert_words("zh", IDS('a', 0xE4, 0xBD), ENDS(1, 2, 3)); /* incomplete for good */
    assert_words("en", IDS(' ', 0xF0, 0x9F, 0x8E, 0x89, 261), ENDS(5, 6));
}

/* No token is lost and ends only grow, whatever the bytes. */
static void words_of_random_bytes_cover_all_tokens(void **state)
{
    (void)state;
    struct text_tokenizer *t = make_small();
    struct au_test_random random = {11};
    for (int round = 0; round < 3000; round++) {
        int32_t ids[24];
        size_t ends[24];
        const size_t n = 1 + au_test_random_u64(&random) % 24;
        for (size_t i = 0; i < n; i++) {
            static const int32_t PICK[] = {0xE4, 0xBD, 0xA0, 0xF0, 0x9F, 0xFF, 'a', ' ', 261, 264};
            ids[i] = PICK[au_test_random_u64(&random) % 10];
        }
        const size_t n_words = text_split_words(t, ids, n, round & 1 ? "zh" : "en", ends);
        assert_true(n_words >= 1 && n_words <= n);
        assert_int_equal(ends[n_words - 1], n);
        for (size_t i = 1; i < n_words; i++)
            assert_true(ends[i] > ends[i - 1]);
    }
    text_tokenizer_destroy(t);
}

/* --- files ---------------------------------------------------------------------------------- */

#define ADDED \
    "{\"<|endoftext|>\":5,\"<|startoftranscript|>\":6,\"<|en|>\":7,\"<|notimestamps|>\":8}"
#define VOCAB       "{\"a\":0,\"b\":1,\"ab\":2,\"\\u0120\":3,\"\\u0120ab\":4}"
#define WHOLE_VOCAB "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":5,\"<|startoftranscript|>\":6}"
#define ADDED_LIST                                                                                \
    "[{\"id\":5,\"content\":\"<|endoftext|>\"},{\"id\":6,\"content\":\"<|startoftranscript|>\"}," \
    "{\"id\":7,\"content\":\"<|en|>\"},{\"id\":8,\"content\":\"<|notimestamps|>\"}]"

struct file {
    const char *name, *text;
};

static enum auricle_error open_files(const struct file *files, size_t n,
                                     struct text_tokenizer **out, struct au_fault *fault)
{
    char *folder = au_test_scratch_folder();
    for (size_t i = 0; i < n; i++)
        au_free(au_test_write(folder, files[i].name, files[i].text, strlen(files[i].text)));
    const enum auricle_error error = text_tokenizer_from_folder(folder, 9, out, fault);
    au_test_scratch_remove(folder);
    return error;
}

static void every_kind_of_folder_gives_the_same(void **state)
{
    (void)state;
    static const struct file KINDS[][4] = {
        {{"vocab.json", VOCAB},
         {"merges.txt", "#version: 0.2\na b\r\n\xC4\xA0 ab\n"},
         {"added_tokens.json", ADDED}},
        {{"vocab.json", VOCAB},
         {"tokenizer_config.json",
          "{\"added_tokens_decoder\":{\"5\":{\"content\":\"<|endoftext|>\"},"
          "\"6\":{\"content\":\"<|startoftranscript|>\"},\"7\":{\"content\":\"<|en|>\"},"
          "\"8\":{\"content\":\"<|notimestamps|>\"}}}"}},
        {{"tokenizer.json",
          "{\"model\":{\"type\":\"BPE\",\"vocab\":" VOCAB
          ",\"merges\":[\"a b\",\"\\u0120 ab\"]},\"added_tokens\":" ADDED_LIST "}"},
         {"vocab.json", "{\"not\":\"read\"}"}},
        {{"tokenizer.json",
          "{\"model\":{\"vocab\":" VOCAB
          ",\"merges\":[[\"a\",\"b\"],[\"\\u0120\",\"ab\"]]},\"added_tokens\":" ADDED_LIST "}"}},
        {{"vocabulary.json", "[\"a\",\"b\",\"ab\",\"\\u0120\",\"\\u0120ab\",\"<|endoftext|>\","
                             "\"<|startoftranscript|>\",\"<|en|>\",\"<|notimestamps|>\"]"}},
        {{"vocabulary.txt", "a\nb\nab\n\xC4\xA0\n\xC4\xA0"
                            "ab\n<|endoftext|>\n"
                            "<|startoftranscript|>\n<|en|>\n<|notimestamps|>\n"}},
    };
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        struct text_tokenizer *t = NULL;
        struct au_fault fault = {0};
        size_t n = 0;
        while (n < 4 && KINDS[i][n].name)
            n++;
        au_test_ok(open_files(KINDS[i], n, &t, &fault), &fault);
        const struct text_specials *s = text_tokenizer_specials(t);
        assert_int_equal(s->eot, 5);
        assert_int_equal(s->sot, 6);
        assert_int_equal(s->language[0], 7);
        assert_int_equal(s->timestamp_begin, 9);
        assert_false(s->multilingual);
        ASSERT_ENCODES(t, "ab ab  aab", 2, 4, 3, 3, 0, 2);
        text_tokenizer_destroy(t);
    }
}

static void bad_files_are_refused_with_a_sentence(void **state)
{
    (void)state;
    static const struct {
        struct file files[2];
        enum auricle_error error;
        const char *said;
    } cases[] = {
        {{{"readme", ""}}, AURICLE_E_NOT_FOUND, "vocabulary.txt"},
        {{{"vocab.json", ""}}, AURICLE_E_FORMAT, "vocab.json"},
        {{{"vocab.json", "[]"}}, AURICLE_E_FORMAT, "expected an object"},
        {{{"vocab.json", "{\"a\":-1}"}}, AURICLE_E_FORMAT, "\"a\""},
        {{{"vocab.json", "{\"a\":4294967296}"}}, AURICLE_E_FORMAT, "\"a\""},
        {{{"vocab.json", "{\"a\":\"x\"}"}}, AURICLE_E_FORMAT, "\"a\""},
        {{{"vocab.json", WHOLE_VOCAB}, {"merges.txt", "a b\nq q\n"}}, AURICLE_E_FORMAT, "merge 2"},
        {{{"vocab.json", WHOLE_VOCAB}, {"merges.txt", "a b\n\xFF\xFE\n"}},
         AURICLE_E_FORMAT,
         "merge 2"},
        {{{"vocab.json", VOCAB}, {"added_tokens.json", "[1]"}}, AURICLE_E_FORMAT, "added_tokens"},
        {{{"vocab.json", VOCAB}}, AURICLE_E_UNSUPPORTED, "no special"},
        {{{"vocab.json", VOCAB}, {"added_tokens.json", "{\"<|startoftranscript|>\":6}"}},
         AURICLE_E_UNSUPPORTED,
         "<|endoftext|>"},
        {{{"vocab.json", VOCAB}, {"added_tokens.json", "{\"<|endoftext|>\":50}"}},
         AURICLE_E_FORMAT,
         "do not belong together"},
        {{{"vocab.json", VOCAB},
          {"tokenizer_config.json", "{\"added_tokens_decoder\":{\"x\":{\"content\":\"y\"}}}"}},
         AURICLE_E_FORMAT,
         "\"x\""},
        {{{"tokenizer.json", "{}"}}, AURICLE_E_FORMAT, "no tokens"},
        {{{"tokenizer.json", "{\"model\":{\"type\":\"WordPiece\"}}"}},
         AURICLE_E_UNSUPPORTED,
         "WordPiece"},
        {{{"tokenizer.json", "{\"model\":{\"vocab\":" WHOLE_VOCAB ",\"merges\":[[\"a\"]]}}"}},
         AURICLE_E_FORMAT,
         "merge 1"},
        {{{"tokenizer.json", "{\"model\":{\"vocab\":" VOCAB "},\"added_tokens\":[{\"id\":3}]}"}},
         AURICLE_E_FORMAT,
         "no content"},
        {{{"vocabulary.json", "{}"}}, AURICLE_E_FORMAT, "list of tokens"},
        {{{"vocabulary.json", "[1]"}}, AURICLE_E_FORMAT, "token 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct text_tokenizer *t = NULL;
        struct au_fault fault = {0};
        const size_t n = cases[i].files[1].name ? 2 : 1;
        assert_int_equal(open_files(cases[i].files, n, &t, &fault), cases[i].error);
        if (!strstr(fault.text, cases[i].said))
            fail_msg("\"%s\" does not say \"%s\"", fault.text, cases[i].said);
        assert_null(t);
    }
}

/* A file cut anywhere is refused or read, and never more than that. */
static void truncated_json_does_no_harm(void **state)
{
    (void)state;
    static const char WHOLE[] = "{\"model\":{\"vocab\":" VOCAB
                                ",\"merges\":[\"a b\",\"\\u0120 ab\"]},\"added_tokens\":" ADDED_LIST
                                "}";
    char text[sizeof WHOLE];
    for (size_t n = 0; n < sizeof WHOLE - 1; n++) {
        struct text_tokenizer *t = NULL;
        struct au_fault fault = {0};
        memcpy(text, WHOLE, n);
        text[n] = '\0';
        const struct file file = {"tokenizer.json", text};
        assert_int_equal(open_files(&file, 1, &t, &fault), AURICLE_E_FORMAT);
        assert_non_null(strstr(fault.text, "tokenizer.json"));
    }
}

static enum auricle_error open_ranks(const char *text, size_t n_model, struct text_tokenizer **out,
                                     struct au_fault *fault)
{
    char *folder = au_test_scratch_folder();
    char *path = au_test_write(folder, "x.tiktoken", text, strlen(text));
    const enum auricle_error error = text_tokenizer_from_tiktoken(path, n_model, out, fault);
    au_free(path);
    au_test_scratch_remove(folder);
    return error;
}

static void rank_files(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "YQ==0\n",    "YQ==\n", "!Q== 0\n",           "YQ== x\n",   "YQ== -1\n",
        "YQ== 1 2\n", "Y 0\n",  "YQ== 99999999999\n", " 0\n\xFF 1", "YQ== 1048576\n"};
    struct text_tokenizer *t = NULL;
    struct au_fault fault = {0};
    au_test_ok(open_ranks("YQ== 0\nYg== 1\n\nYWI= 2\r\n= 3\n", 4 + N_OTHER_SPECIALS, &t, &fault),
               &fault);
    ASSERT_ENCODES(t, "abba", 2, 1, 0);
    text_tokenizer_destroy(t);
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        t = NULL;
        assert_int_equal(open_ranks(BAD[i], 1510, &t, &fault), AURICLE_E_FORMAT);
        assert_null(t);
    }
    assert_int_equal(text_tokenizer_from_tiktoken("/nonexistent/x.tiktoken", 0, &t, &fault),
                     AURICLE_E_NOT_FOUND);
    assert_int_equal(open_ranks("", 1510, &t, &fault), AURICLE_E_FORMAT);
}

/* --- hostile text, failing memory ----------------------------------------------------------- */

enum { MEGABYTE = 1 << 20 };

static void assert_survives(const struct text_tokenizer *t, const char *text, size_t n)
{
    int32_t *ids = au_alloc_array(n, sizeof *ids);
    size_t n_ids = 0, at = 0;
    assert_non_null(ids);
    assert_int_equal(text_encode(t, text, n, ids, n, &n_ids), AURICLE_OK);
    for (size_t i = 0; i < n_ids; i++) {
        size_t bytes;
        const char *token = text_token_bytes(t, ids[i], &bytes);
        assert_true(bytes > 0 && at + bytes <= n && memcmp(token, text + at, bytes) == 0);
        at += bytes;
    }
    assert_int_equal(at, n);
    au_free(ids);
}

static void a_megabyte_of_anything_is_encoded(void **state)
{
    (void)state;
    struct text_tokenizer *t = make_small();
    char *text = au_alloc(MEGABYTE);
    struct au_test_random random = {3};
    static const char FILL[] = {'a', ' ', '\'', '\xFF', '\xE4', '\0'};
    for (size_t i = 0; i < sizeof FILL; i++) {
        memset(text, FILL[i], MEGABYTE);
        assert_survives(t, text, MEGABYTE);
    }
    for (size_t i = 0; i < MEGABYTE; i++)
        text[i] = (char)au_test_random_u64(&random);
    assert_survives(t, text, MEGABYTE);
    for (size_t i = 0; i < MEGABYTE; i++)
        text[i] = "abc"[au_test_random_u64(&random) % 3];
    assert_survives(t, text, MEGABYTE);
    au_free(text);
    text_tokenizer_destroy(t);
}

static enum auricle_error build_and_use(void *context)
{
    (void)context;
    static const char *const WORDS[] = {"ab", "abc"};
    static const char *const MERGES[] = {"a b", "ab c"};
    struct small_vocab v;
    struct text_tokenizer *t = NULL;
    struct au_buf out;
    int32_t ids[16];
    size_t n = 0;
    small_vocab_init(&v, WORDS, 2);
    v.vocab.merges = MERGES;
    v.vocab.n_merges = 2;
    enum auricle_error error = text_tokenizer_create(&v.vocab, &t, NULL);
    if (error)
        return error;
    au_buf_init(&out, 0);
    error = text_encode(t, "abcabc", 6, ids, 16, &n);
    if (!error)
        error = text_decode(t, ids, n, &out);
    au_buf_deinit(&out);
    text_tokenizer_destroy(t);
    return error;
}

static void failing_memory_is_an_error(void **state)
{
    (void)state;
    assert_true(au_test_fail_each_allocation(build_and_use, NULL, 1000) > 5);
}

static enum auricle_error open_rank_file(void *path)
{
    struct text_tokenizer *t = NULL;
    const enum auricle_error error = text_tokenizer_from_tiktoken(path, 3 + N_OTHER_SPECIALS, &t,
                                                                  NULL);
    text_tokenizer_destroy(t);
    return error;
}

static enum auricle_error open_folder(void *folder)
{
    struct text_tokenizer *t = NULL;
    const enum auricle_error error = text_tokenizer_from_folder(folder, 9, &t, NULL);
    text_tokenizer_destroy(t);
    return error;
}

static void failing_memory_while_reading_is_an_error(void **state)
{
    (void)state;
    static const char RANKS[] = "YQ== 0\nYg== 1\nYWI= 2\n";
    /* not JSON: jansson calls some of its own failures syntax errors */
    static const char LINES[] = "a\nb\nab\n<|endoftext|>\n<|startoftranscript|>\n";
    char *folder = au_test_scratch_folder();
    char *path = au_test_write(folder, "x.tiktoken", RANKS, sizeof RANKS - 1);
    au_free(au_test_write(folder, "vocabulary.txt", LINES, sizeof LINES - 1));
    au_test_fail_each_allocation(open_rank_file, path, 1000);
    au_test_fail_each_allocation(open_folder, folder, 1000);
    au_free(path);
    au_test_scratch_remove(folder);
}

/* --- languages and Unicode ------------------------------------------------------------------ */

static void languages_are_found_by_any_name(void **state)
{
    (void)state;
    assert_int_equal(text_language_find("en"), 0);
    assert_int_equal(text_language_find("EN"), 0);
    assert_int_equal(text_language_find("English"), 0);
    assert_int_equal(text_language_find("en-US"), 0);
    assert_string_equal(text_language_code(text_language_find("zh_Hant_TW")), "zh");
    assert_string_equal(text_language_code(text_language_find("haw-us")), "haw");
    assert_string_equal(text_language_code(text_language_find("es-419")), "es");
    const char *const unknown[] = {"en-", "xx-US", "english-US", "en US", "-en", "e-n", "en11", ""};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_int_equal(text_language_find(unknown[i]), -1);
    assert_string_equal(text_language_code(text_language_find("Castilian")), "es");
    assert_string_equal(text_language_code(text_language_find("yue")), "yue");
    assert_string_equal(text_language_name(text_language_find("ht")), "haitian creole");
    assert_int_equal(text_language_find(""), -1);
    assert_int_equal(text_language_find("klingon"), -1);
    assert_int_equal(text_language_find(NULL), -1);
    assert_null(text_language_code(-1));
    assert_null(text_language_name(TEXT_N_LANGUAGES));
    assert_true(text_language_has_spaces("en"));
    assert_true(text_language_has_spaces("ko"));
    assert_true(text_language_has_spaces(NULL));
    assert_false(text_language_has_spaces("ja"));
    assert_false(text_language_has_spaces("yue"));
}

static void assert_form(enum text_form form, const char *text, const char *expected)
{
    struct au_buf out;
    au_buf_init(&out, 0);
    assert_int_equal(text_normal_form(form, text, strlen(text), &out), AURICLE_OK);
    au_buf_putc(&out, '\0');
    assert_string_equal(out.data, expected);
    au_buf_deinit(&out);
}

static void normal_forms(void **state)
{
    (void)state;
    assert_form(TEXT_NFC, "e\xCC\x81", "\xC3\xA9");
    assert_form(TEXT_NFKC, "x\xC2\xB2 \xEF\xAC\x81", "x2 fi");
    assert_form(TEXT_NFKD, "\xC3\xA9", "e\xCC\x81");
    assert_form(TEXT_NFC, "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"); /* jamo */
    assert_form(TEXT_NFC,
                "a\xFF"
                "b",
                "a\xEF\xBF\xBD"
                "b");
    assert_form(TEXT_NFC, "", "");
}

/* Chunks must not show: a long text of pairs that compose gives half as many characters. */
static void normal_form_of_long_text_has_no_seams(void **state)
{
    (void)state;
    enum { PAIRS = 5000 };
    struct au_buf in, out;
    au_buf_init(&in, 0);
    au_buf_init(&out, 0);
    for (int i = 0; i < PAIRS; i++)
        au_buf_puts(&in, i % 3 ? "e\xCC\x81" : "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB");
    assert_int_equal(text_normal_form(TEXT_NFC, in.data, in.len, &out), AURICLE_OK);
    size_t at = 0;
    for (int i = 0; i < PAIRS; i++) {
        uint32_t c;
        assert_true(at < out.len);
        at += au_utf8_decode(out.data + at, out.len - at, &c);
        assert_int_equal(c, i % 3 ? 0xE9 : 0xD55C);
    }
    assert_int_equal(at, out.len);
    au_buf_deinit(&in);
    au_buf_deinit(&out);
}

static void assert_lower(const char *text, const char *expected)
{
    struct au_buf out;
    au_buf_init(&out, 0);
    assert_int_equal(text_lower(text, strlen(text), &out), AURICLE_OK);
    au_buf_putc(&out, '\0');
    assert_string_equal(out.data, expected);
    au_buf_deinit(&out);
}

static void lower_case(void **state)
{
    (void)state;
    assert_lower("ABC \xC3\x89", "abc \xC3\xA9");
    assert_lower("\xC4\xB0", "i\xCC\x87");
    assert_lower("\xCE\x9F\xCE\xA3 \xCE\xA3\xCE\xA3", /* OΣ ΣΣ: final sigma twice */
                 "\xCE\xBF\xCF\x82 \xCF\x83\xCF\x82");
    assert_lower("\xCE\xA3", "\xCF\x83"); /* alone it is not final */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_follow_the_pattern),
        cmocka_unit_test(lowest_id_merges_first),
        cmocka_unit_test(merge_list_decides_when_there_is_one),
        cmocka_unit_test(merges_of_unknown_tokens_are_refused),
        cmocka_unit_test(bytes_without_token_are_left_out),
        cmocka_unit_test(too_many_tokens_for_the_caller),
        cmocka_unit_test(sizes_give_the_special_ids),
        cmocka_unit_test(sizes_of_no_whisper_model_are_refused),
        cmocka_unit_test(ids_outside_the_model_are_refused),
        cmocka_unit_test(timestamps_before_other_marks_are_refused),
        cmocka_unit_test(a_language_behind_the_timestamps_is_taken),
        cmocka_unit_test(names_win_over_sizes),
        cmocka_unit_test(decoding_leaves_timestamps_out),
        cmocka_unit_test(streamed_text_equals_whole_text),
        cmocka_unit_test(words_begin_at_blanks_and_punctuation),
        cmocka_unit_test(words_wait_for_whole_characters),
        cmocka_unit_test(words_of_random_bytes_cover_all_tokens),
        cmocka_unit_test(every_kind_of_folder_gives_the_same),
        cmocka_unit_test(bad_files_are_refused_with_a_sentence),
        cmocka_unit_test(truncated_json_does_no_harm),
        cmocka_unit_test(rank_files),
        cmocka_unit_test(a_megabyte_of_anything_is_encoded),
        cmocka_unit_test(failing_memory_is_an_error),
        cmocka_unit_test(failing_memory_while_reading_is_an_error),
        cmocka_unit_test(languages_are_found_by_any_name),
        cmocka_unit_test(normal_forms),
        cmocka_unit_test(normal_form_of_long_text_has_no_seams),
        cmocka_unit_test(lower_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
