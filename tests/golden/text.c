/* The text layer against the reference: every tokenizer case, all special ids, languages,
 * suppressed tokens, decoding, word splitting; for each kind of vocabulary that models come
 * with.                                                                                          */
#include "support/support.h"

#include <math.h>

#include "base/file.h"
#include "base/json.h"
#include "text/compress.h"
#include "text/language.h"
#include "text/normalize.h"
#include "text/tokenizer.h"

enum { MAX_IDS = 512, MAX_CASE_BYTES = 4096 };

/* --- fixtures ------------------------------------------------------------------------------- */

/* The reader refuses \u0000, which one case has; it travels as U+E000 and is put back by
 * case_text.                                                                                    */
static struct au_json *read_fixture(const char *name)
{
    struct au_json *root = NULL;
    struct au_fault fault = {0};
    size_t bytes;
    char *path = au_test_fixture(name);
    char *text = au_test_read(path, &bytes);
    for (char *at = text; (at = strstr(at, "\\u0000")) != NULL;)
        at[2] = 'E';
    au_test_ok(au_json_parse(text, bytes, path, &root, &fault), &fault);
    au_free(text);
    au_free(path);
    return root;
}

static size_t case_text(const struct au_json *value, char out[MAX_CASE_BYTES])
{
    static const char STAND_IN[] = "\xEE\x80\x80";
    const char *text = au_json_string(value, NULL);
    const size_t n = au_json_string_bytes(value);
    size_t n_out = 0;
    assert_true(n < MAX_CASE_BYTES);
    for (size_t i = 0; i < n;) {
        const bool zero = n - i >= 3 && memcmp(text + i, STAND_IN, 3) == 0;
        out[n_out++] = zero ? '\0' : text[i];
        i += zero ? 3 : 1;
    }
    out[n_out] = '\0';
    return n_out;
}

static struct text_tokenizer *open_tiktoken(const char *name, size_t n_model)
{
    struct text_tokenizer *t = NULL;
    struct au_fault fault = {0};
    char *path = au_test_fixture(name);
    au_test_ok(text_tokenizer_from_tiktoken(path, n_model, &t, &fault), &fault);
    au_free(path);
    return t;
}

static struct text_tokenizer *open_folder(const char *name, size_t n_model)
{
    struct text_tokenizer *t = NULL;
    struct au_fault fault = {0};
    char *path = au_test_fixture(name);
    au_test_ok(text_tokenizer_from_folder(path, n_model, &t, &fault), &fault);
    au_free(path);
    return t;
}

static uint32_t take_u32(const char *bytes, size_t *at)
{
    uint32_t value;
    memcpy(&value, bytes + *at, sizeof value);
    *at += sizeof value;
    return value;
}

/* The token strings in a ggml file: after magic, 11 header words and the mel filters. */
static struct text_tokenizer *open_ggml(const char *name)
{
    struct au_file_map map;
    struct au_fault fault = {0};
    char *path = au_test_fixture(name);
    au_test_ok(au_file_map_open(path, &map, &fault), &fault);
    au_free(path);
    const char *bytes = (const char *)map.data;
    size_t at = 0;
    assert_int_equal(take_u32(bytes, &at), 0x67676d6c);
    const size_t n_model = take_u32(bytes, &at);
    at += 10 * 4;
    const size_t n_mel = take_u32(bytes, &at), n_fft = take_u32(bytes, &at);
    at += n_mel * n_fft * 4;
    const size_t n_tokens = take_u32(bytes, &at);
    const char **tokens = au_calloc(n_tokens, sizeof *tokens);
    uint32_t *lengths = au_calloc(n_tokens, sizeof *lengths);
    for (size_t i = 0; i < n_tokens; i++) {
        lengths[i] = take_u32(bytes, &at);
        tokens[i] = bytes + at;
        at += lengths[i];
        assert_true(at < map.bytes);
    }
    const struct text_vocab vocab = {
        .n_tokens = n_tokens, .bytes = tokens, .lengths = lengths, .n_model_vocab = n_model};
    struct text_tokenizer *t = NULL;
    au_test_ok(text_tokenizer_create(&vocab, &t, &fault), &fault);
    au_free(tokens);
    au_free(lengths);
    au_file_map_close(&map);
    return t;
}

static size_t json_ids(const struct au_json *array, int32_t ids[MAX_IDS])
{
    const size_t n = au_json_size(array);
    assert_true(n <= MAX_IDS);
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)au_json_int(au_json_item(array, i), -1);
    return n;
}

static void assert_ids(const char *what, const int32_t *seen, size_t n_seen,
                       const struct au_json *expected)
{
    int32_t ids[MAX_IDS];
    const size_t n = json_ids(expected, ids);
    if (n != n_seen || memcmp(ids, seen, n * sizeof *ids) != 0) {
        for (size_t i = 0; i < n_seen; i++)
            print_error("%d ", seen[i]);
        fail_msg("\"%s\": %zu ids, %zu expected", what, n_seen, n);
    }
}

/* --- encoding and decoding ------------------------------------------------------------------ */

/* Every case in both directions: the ids, and the text back from them. */
static void check_cases(const struct text_tokenizer *t, const char *kind)
{
    struct au_json *root = read_fixture("tokenizer/tokenizer_cases.json");
    const struct au_json *cases = au_json_get(root, "cases");
    assert_int_equal(au_json_size(cases), 71);
    for (size_t i = 0; i < au_json_size(cases); i++) {
        const struct au_json *item = au_json_item(cases, i);
        char bytes[MAX_CASE_BYTES];
        const size_t n_bytes = case_text(au_json_get(item, "text"), bytes);
        int32_t ids[MAX_IDS];
        size_t n = 0;
        struct au_buf back;
        assert_int_equal(text_encode(t, bytes, n_bytes, ids, MAX_IDS, &n), AURICLE_OK);
        assert_ids(bytes, ids, n, au_json_get(item, kind));
        au_buf_init(&back, 0);
        assert_int_equal(text_decode(t, ids, n, &back), AURICLE_OK);
        assert_int_equal(back.len, n_bytes);
        if (n_bytes > 0)
            assert_memory_equal(back.data, bytes, n_bytes);
        au_buf_deinit(&back);
    }
    au_json_free(root);
}

static void check_partial_utf8(const struct text_tokenizer *t)
{
    struct au_json *root = read_fixture("tokenizer/tokenizer_cases.json");
    const struct au_json *cases = au_json_get(root, "decode_partial_utf8");
    assert_true(au_json_size(cases) > 0);
    for (size_t i = 0; i < au_json_size(cases); i++) {
        const struct au_json *item = au_json_item(cases, i);
        int32_t ids[MAX_IDS];
        const size_t n = json_ids(au_json_get(item, "ids"), ids);
        struct au_buf text;
        au_buf_init(&text, 0);
        assert_int_equal(text_decode(t, ids, n, &text), AURICLE_OK);
        au_buf_putc(&text, '\0');
        assert_string_equal(text.data, au_json_string(au_json_get(item, "multilingual_text"), ""));
        au_buf_deinit(&text);
    }
    au_json_free(root);
}

static void check_words(const struct text_tokenizer *t)
{
    struct au_json *root = read_fixture("tokenizer/tokenizer_cases.json");
    const struct au_json *cases = au_json_get(root, "split_to_word_tokens");
    assert_int_equal(au_json_size(cases), 7);
    for (size_t i = 0; i < au_json_size(cases); i++) {
        const struct au_json *item = au_json_item(cases, i);
        const struct au_json *words = au_json_get(item, "word_tokens");
        const char *text = au_json_string(au_json_get(item, "text"), NULL);
        int32_t ids[MAX_IDS];
        size_t ends[MAX_IDS], begin = 0;
        const size_t n = json_ids(au_json_get(item, "tokens"), ids);
        const size_t n_words = text_split_words(
            t, ids, n, au_json_string(au_json_get(item, "language"), NULL), ends);
        assert_int_equal(n_words, au_json_size(words));
        for (size_t w = 0; w < n_words; w++) {
            assert_ids(text, ids + begin, ends[w] - begin, au_json_item(words, w));
            begin = ends[w];
        }
    }
    au_json_free(root);
}

/* --- special tokens ------------------------------------------------------------------------- */

static void assert_text(const struct text_tokenizer *t, int32_t id, const char *expected)
{
    size_t n;
    const char *text = text_token_bytes(t, id, &n);
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(text, expected, n);
}

static int32_t json_id(const struct au_json *object, const char *key)
{
    return (int32_t)au_json_int(au_json_get(object, key), -2);
}

static void check_specials(const struct text_tokenizer *t, const char *kind)
{
    struct au_json *root = read_fixture("tokenizer/special_tokens.json");
    const struct au_json *expected = au_json_get(root, kind);
    const struct text_specials *s = text_tokenizer_specials(t);
    int32_t ids[MAX_IDS];
    assert_int_equal(text_tokenizer_size(t), json_id(expected, "n_vocab"));
    assert_int_equal(s->eot, json_id(expected, "eot"));
    assert_int_equal(s->sot, json_id(expected, "sot"));
    assert_int_equal(s->translate, json_id(expected, "translate"));
    assert_int_equal(s->transcribe, json_id(expected, "transcribe"));
    assert_int_equal(s->sot_lm, json_id(expected, "sot_lm"));
    assert_int_equal(s->sot_prev, json_id(expected, "sot_prev"));
    assert_int_equal(s->no_speech, json_id(expected, "no_speech"));
    assert_int_equal(s->no_timestamps, json_id(expected, "no_timestamps"));
    assert_int_equal(s->timestamp_begin, json_id(expected, "timestamp_begin"));
    assert_int_equal(s->multilingual, strcmp(kind, "gpt2") != 0);
    assert_text(t, s->timestamp_begin, "<|0.00|>");
    assert_text(t, s->timestamp_begin + 51, "<|1.02|>");
    assert_text(t, json_id(expected, "timestamp_last"), "<|30.00|>");
    size_t n_silent = 0;
    au_test_ok(text_non_speech_tokens(t, ids, MAX_IDS, &n_silent), NULL);
    assert_ids("non-speech", ids, n_silent, au_json_get(expected, "non_speech_tokens"));

    const struct au_json *tokens = au_json_get(expected, "special_tokens");
    for (size_t i = 0; i < au_json_size(tokens); i++) {
        const char *text;
        const int32_t id = (int32_t)au_json_int(au_json_member(tokens, i, &text), -1);
        assert_text(t, id, text);
        assert_true(text_token_is_special(t, id));
    }
    const struct au_json *languages = au_json_get(expected, "languages");
    if (languages)
        assert_int_equal(s->n_languages, au_json_size(languages));
    for (size_t i = 0; i < au_json_size(languages); i++) {
        const struct au_json *language = au_json_item(languages, i);
        const char *code = au_json_string(au_json_get(language, "code"), NULL);
        const char *name = au_json_string(au_json_get(language, "name"), NULL);
        assert_int_equal(s->language[i], json_id(language, "id"));
        assert_string_equal(text_language_code((int)i), code);
        assert_string_equal(text_language_name((int)i), name);
        assert_int_equal(text_language_find(code), i);
        assert_int_equal(text_language_find(name), i);
    }
    au_json_free(root);
}

/* --- tests ---------------------------------------------------------------------------------- */

static void check_multilingual(struct text_tokenizer *t, const char *kind)
{
    check_cases(t, "multilingual");
    check_partial_utf8(t);
    check_words(t);
    check_specials(t, kind);
    text_tokenizer_destroy(t);
}

static void tiktoken_multilingual(void **state)
{
    (void)state;
    check_multilingual(open_tiktoken("tokenizer/multilingual.tiktoken", 51865), "multilingual");
}

static void tiktoken_with_cantonese(void **state)
{
    (void)state;
    check_multilingual(open_tiktoken("tokenizer/multilingual.tiktoken", 51866), "multilingual_v3");
}

static void tiktoken_english(void **state)
{
    (void)state;
    struct text_tokenizer *t = open_tiktoken("tokenizer/gpt2.tiktoken", 51864);
    check_cases(t, "gpt2");
    check_specials(t, "gpt2");
    text_tokenizer_destroy(t);
}

static void tiktoken_without_model_size(void **state)
{
    (void)state;
    check_multilingual(open_tiktoken("tokenizer/multilingual.tiktoken", 0), "multilingual");
}

static void hugging_face_folder(void **state)
{
    (void)state;
    check_multilingual(open_folder("whisper-micro/hf", 51865), "multilingual");
}

static void ggml_vocabulary(void **state)
{
    (void)state;
    check_multilingual(open_ggml("whisper-micro/ggml-model-f16.bin"), "multilingual");
}

static void language_aliases(void **state)
{
    (void)state;
    struct au_json *root = read_fixture("tokenizer/special_tokens.json");
    const struct au_json *aliases = au_json_get(root, "language_aliases");
    assert_true(au_json_size(aliases) > 0);
    for (size_t i = 0; i < au_json_size(aliases); i++) {
        const char *alias;
        const char *code = au_json_string(au_json_member(aliases, i, &alias), NULL);
        const int found = text_language_find(alias);
        assert_true(found >= 0);
        assert_string_equal(text_language_code(found), code);
    }
    au_json_free(root);
}

/* --- normalisers ---------------------------------------------------------------------------- */

static void assert_normalized(const struct au_json *item, const char *kind,
                              const struct text_spelling *spelling)
{
    const char *in = au_json_string(au_json_get(item, "in"), NULL);
    const char *expected = au_json_string(au_json_get(item, kind), NULL);
    struct au_buf out;
    enum auricle_error error;
    au_buf_init(&out, 0);
    if (strcmp(kind, "english") == 0)
        error = text_normalize_english(spelling, in, strlen(in), &out);
    else
        error = text_normalize_basic((strstr(kind, "diacritics") ? TEXT_BASIC_NO_DIACRITICS : 0) |
                                         (strstr(kind, "letters") ? TEXT_BASIC_SPLIT_LETTERS : 0),
                                     in, strlen(in), &out);
    assert_int_equal(error, AURICLE_OK);
    au_buf_putc(&out, '\0');
    if (strcmp(out.data, expected) != 0)
        fail_msg("%s of \"%s\": \"%s\", expected \"%s\"", kind, in, out.data, expected);
    au_buf_deinit(&out);
}

static void normalizers(void **state)
{
    (void)state;
    static const char *const KINDS[] = {"english", "basic", "basic_no_diacritics",
                                        "basic_split_letters"};
    struct text_spelling *spelling = NULL;
    struct au_fault fault = {0};
    char *path = au_test_fixture("normalizer/english.json");
    au_test_ok(text_spelling_load(path, &spelling, &fault), &fault);
    au_free(path);
    struct au_json *root = read_fixture("normalizer/normalizer_cases.json");
    const struct au_json *cases = au_json_get(root, "cases");
    assert_int_equal(au_json_size(cases), 113);
    for (size_t i = 0; i < au_json_size(cases); i++) {
        for (size_t k = 0; k < sizeof KINDS / sizeof KINDS[0]; k++)
            assert_normalized(au_json_item(cases, i), KINDS[k], spelling);
    }
    au_json_free(root);
    text_spelling_destroy(spelling);
}

/* --- whole decodes --------------------------------------------------------------------------- */

/* Tokens of every reference decode give its text, and the text its compression ratio. */
static void decoded_texts_and_their_compression(void **state)
{
    (void)state;
    struct text_tokenizer *t = open_tiktoken("tokenizer/multilingual.tiktoken", 51865);
    struct au_json *root = read_fixture("whisper-micro/ref/decode.json");
    size_t n_checked = 0;
    for (size_t i = 0; i < au_json_size(root); i++) {
        const char *name;
        const struct au_json *item = au_json_member(root, i, &name);
        const struct au_json *text = au_json_get(item, "text");
        int32_t ids[MAX_IDS];
        struct au_buf decoded;
        if (!text)
            continue;
        au_buf_init(&decoded, 0);
        const size_t n = json_ids(au_json_get(item, "tokens"), ids);
        assert_int_equal(text_decode(t, ids, n, &decoded), AURICLE_OK);
        /* the original strips white space at both ends */
        size_t begin = 0;
        while (begin < decoded.len && decoded.data[begin] == ' ')
            begin++;
        while (decoded.len > begin && decoded.data[decoded.len - 1] == ' ')
            decoded.len--;
        assert_int_equal(decoded.len - begin, au_json_string_bytes(text));
        assert_memory_equal(decoded.data + begin, au_json_string(text, ""), decoded.len - begin);
        const double ratio = text_compression_ratio(decoded.data + begin, decoded.len - begin);
        const double expected = au_json_number(au_json_get(item, "compression_ratio"), -1);
        if (fabs(ratio - expected) > 1e-12)
            fail_msg("%s: compression ratio %.15g, expected %.15g", name, ratio, expected);
        au_buf_deinit(&decoded);
        n_checked++;
    }
    assert_true(n_checked >= 18);
    au_json_free(root);
    text_tokenizer_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiktoken_multilingual),
        cmocka_unit_test(tiktoken_with_cantonese),
        cmocka_unit_test(tiktoken_english),
        cmocka_unit_test(tiktoken_without_model_size),
        cmocka_unit_test(hugging_face_folder),
        cmocka_unit_test(ggml_vocabulary),
        cmocka_unit_test(language_aliases),
        cmocka_unit_test(normalizers),
        cmocka_unit_test(decoded_texts_and_their_compression),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
