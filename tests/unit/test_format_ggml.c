/* whisper.cpp .bin files: header, filters, vocabulary, every tensor type, every kind of damage. */
#include "test_format.h"

#include <math.h>

#include "kern/kern.h"

enum { N_VOCAB, N_AUDIO_CTX, N_AUDIO_STATE, N_MELS = 9, FTYPE = 10, N_FIELDS = 11 };

static const uint32_t plain_header[N_FIELDS] = {3, 4, 32, 1, 1, 5, 32, 1, 1, 2, 1};

static void put_header(struct au_buf *file, const uint32_t fields[N_FIELDS])
{
    put_u32(file, 0x67676d6c);
    for (int i = 0; i < N_FIELDS; i++)
        put_u32(file, fields[i]);
}

/* [2, 3] filters and the tokens "a", "" and a byte that is no UTF-8. */
static void put_filters_and_vocabulary(struct au_buf *file)
{
    put_u32(file, 2);
    put_u32(file, 3);
    for (int i = 0; i < 6; i++)
        put_f32(file, (float)i);
    put_u32(file, 3);
    put_u32(file, 1);
    put_text(file, "a");
    put_u32(file, 0);
    put_u32(file, 2);
    put_text(file, "\xf0\x9f");
}

static void put_tensor_head(struct au_buf *file, const char *name, uint32_t type, uint32_t n_dims,
                            const uint32_t *sizes)
{
    put_u32(file, n_dims);
    put_u32(file, (uint32_t)strlen(name));
    put_u32(file, type);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u32(file, sizes[i]);
    put_text(file, name);
}

static void put_zeros(struct au_buf *file, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put_u8(file, 0);
}

static void begin(struct au_buf *file, uint32_t ftype)
{
    uint32_t fields[N_FIELDS];
    memcpy(fields, plain_header, sizeof fields);
    fields[FTYPE] = ftype;
    au_buf_clear(file);
    put_header(file, fields);
    put_filters_and_vocabulary(file);
}

/* Two tensors: f32 [2, 3] and f16 [4]. */
static void make_small(struct au_buf *file)
{
    au_buf_init(file, 0);
    begin(file, 1);
    put_tensor_head(file, "a.weight", 0, 2, (uint32_t[]){3, 2});
    for (int i = 0; i < 6; i++)
        put_f32(file, (float)i + 0.5f);
    put_tensor_head(file, "a.bias", 1, 1, (uint32_t[]){4});
    for (int i = 0; i < 4; i++)
        put_u16(file, (uint16_t)(0x3c00 + 0x400 * i)); /* 1, 2, 4, 8 */
}

static void header_filters_vocabulary_and_tensors_are_read(void **state)
{
    (void)state;
    struct au_buf file;
    struct opened opened;
    make_small(&file);
    open_file(&file, &opened);
    assert_int_equal(opened.error, AURICLE_OK);
    assert_int_equal(format_weights_kind(opened.weights), FORMAT_GGML);
    const struct format_whisper_extra *extra = format_weights_whisper(opened.weights);
    assert_int_equal(extra->ggml->n_vocab, 3);
    assert_int_equal(extra->ggml->n_audio_ctx, 4);
    assert_int_equal(extra->ggml->n_text_ctx, 5);
    assert_int_equal(extra->ggml->n_mels, 2);
    assert_int_equal(extra->ggml->ftype, 1);
    assert_int_equal(extra->n_mel_bins, 2);
    assert_int_equal(extra->n_fft_bins, 3);
    assert_true(extra->mel_filters[5] == 5.0f);
    assert_int_equal(extra->n_vocab_entries, 3);
    assert_int_equal(extra->vocab_lengths[1], 0);
    assert_int_equal(extra->vocab_lengths[2], 2);
    assert_memory_equal(extra->vocab_bytes[2], "\xf0\x9f", 2);
    assert_shape(opened.weights, "a.weight", "[2, 3]"); /* sizes are stored innermost first */
    assert_true(element(opened.weights, "a.weight", 4) == 4.5f);
    assert_true(element(opened.weights, "a.bias", 3) == 8.0f);
    close_opened(&opened);
    au_buf_deinit(&file);
}

static void every_quantised_type_loads_with_its_block_size(void **state)
{
    (void)state;
    static const struct {
        uint32_t id;
        enum format_type type;
        size_t bytes;
    } types[] = {{2, FORMAT_Q4_0, 18},
                 {3, FORMAT_Q4_1, 20},
                 {6, FORMAT_Q5_0, 22},
                 {7, FORMAT_Q5_1, 24},
                 {8, FORMAT_Q8_0, 34}};
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct opened opened;
        begin(&file, 2000 + types[i].id);
        put_tensor_head(&file, "w", types[i].id, 2, (uint32_t[]){64, 3});
        put_zeros(&file, 6 * types[i].bytes);
        open_file(&file, &opened);
        assert_int_equal(opened.error, AURICLE_OK);
        const struct format_tensor *tensor = format_weights_find(opened.weights, "w");
        assert_int_equal(tensor->type, types[i].type);
        assert_int_equal(tensor->n_elements, 192);
        assert_int_equal(tensor->bytes, 6 * types[i].bytes);
        assert_int_equal(format_weights_whisper(opened.weights)->ggml->ftype, 2000 + types[i].id);
        close_opened(&opened);
    }
    au_buf_deinit(&file);
}

/* ---- A matrix quantised by the definition of each type, in double ---------------------------- */

struct quant {
    uint32_t id;
    int bits;       /* 4, 5 or 8 */
    bool has_least; /* q4_1, q5_1: counted up from the block's least value */
};

/* Integers 0 ... 2^bits - 1 (q8_0: offset by 128) of one block, its scale and least value. */
static void quantise_block(const struct quant *q, const double x[32], uint16_t *scale,
                           uint16_t *least, int out[32])
{
    double low = x[0], high = x[0], widest = x[0];
    for (int i = 1; i < 32; i++) {
        low = fmin(low, x[i]);
        high = fmax(high, x[i]);
        widest = fabs(x[i]) > fabs(widest) ? x[i] : widest;
    }
    int top = (1 << q->bits) - 1, middle = 1 << (q->bits - 1);
    double step = q->has_least   ? (high - low) / top
                  : q->bits == 8 ? fabs(widest) / 127
                                 : -widest / middle;
    *scale = kern_f32_to_f16((float)step);
    *least = kern_f32_to_f16((float)(q->has_least ? low : 0.0));
    double kept = (double)kern_f16_to_f32(*scale), from = (double)kern_f16_to_f32(*least);
    for (int i = 0; i < 32; i++) {
        double n = kept == 0 ? 0 : rint((x[i] - from) / kept) + (q->has_least ? 0 : middle);
        out[i] = (int)fmin(fmax(n, 0), top);
    }
}

static void put_block(struct au_buf *file, const struct quant *q, const double x[32])
{
    uint16_t scale, least;
    int n[32];
    quantise_block(q, x, &scale, &least, n);
    put_u16(file, scale);
    if (q->has_least)
        put_u16(file, least);
    if (q->bits == 8) {
        for (int i = 0; i < 32; i++)
            put_u8(file, (uint8_t)(n[i] - 128));
        return;
    }
    uint32_t fifth = 0;
    for (int i = 0; i < 32; i++)
        fifth |= (uint32_t)(n[i] >> 4) << i;
    if (q->bits == 5)
        put_u32(file, fifth);
    for (int i = 0; i < 16; i++)
        put_u8(file, (uint8_t)((n[i] & 15) | (n[i + 16] & 15) << 4));
}

/* Within half a step, and within one where the integers end just short of the widest value. */
static void a_quantised_matrix_comes_back_within_a_step(void **state)
{
    (void)state;
    static const struct quant quants[] = {
        {2, 4, false}, {3, 4, true}, {6, 5, false}, {7, 5, true}, {8, 8, false}};
    enum { ROWS = 7, COLUMNS = 96, BLOCKS = ROWS * COLUMNS / 32 };
    struct au_test_random random = {31};
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t t = 0; t < sizeof quants / sizeof *quants; t++) {
        const struct quant *q = &quants[t];
        static double x[BLOCKS][32];
        struct opened opened;
        begin(&file, 2000 + q->id);
        put_tensor_head(&file, "w", q->id, 2, (uint32_t[]){COLUMNS, ROWS});
        for (int b = 0; b < BLOCKS; b++) {
            for (int i = 0; i < 32; i++) /* block 3 is all zero */
                x[b][i] = b == 3 ? 0.0 : (double)au_test_random_f32(&random) * 0.2;
            put_block(&file, q, x[b]);
        }
        open_file(&file, &opened);
        if (opened.error)
            fail_msg("%s", opened.fault.text);
        const struct format_tensor *tensor = format_weights_find(opened.weights, "w");
        float got[BLOCKS][32];
        format_read_f32(tensor, got[0]);
        for (int b = 0; b < BLOCKS; b++)
            for (int i = 0; i < 32; i++) {
                double range = q->has_least ? 0.4 : 0.2 * 2; /* x is in [-0.2, 0.2) */
                double step = range / (1 << q->bits) * 1.07; /* scales are rounded to f16 */
                bool is_open = !q->has_least && q->bits < 8;
                double difference = fabs((double)got[b][i] - x[b][i]);
                if (difference > step * (is_open ? 1.0 : 0.51))
                    fail_msg("type %u, element %d of block %d: %g, expected %g", q->id, i, b,
                             (double)got[b][i], x[b][i]);
            }
        close_opened(&opened);
    }
    au_buf_deinit(&file);
}

static void other_quantisations_are_refused_by_name(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    begin(&file, 2014);
    put_tensor_head(&file, "w", 14, 1, (uint32_t[]){256});
    put_zeros(&file, 256);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "q6_k");
    begin(&file, 1002); /* version 1: blocks with f32 scales */
    put_tensor_head(&file, "w", 2, 1, (uint32_t[]){32});
    put_zeros(&file, 20);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "quantisation version 1");
    begin(&file, 2); /* no version at all */
    put_tensor_head(&file, "w", 2, 1, (uint32_t[]){32});
    put_zeros(&file, 18);
    assert_loads(&file);
    begin(&file, 2002);
    put_tensor_head(&file, "w", 2, 1, (uint32_t[]){48});
    put_zeros(&file, 27);
    assert_refused(&file, AURICLE_E_FORMAT, "impossible shape [48] for type q4_0");
    au_buf_deinit(&file);
}

/* whisper.cpp#3787: a count of dimensions from the file indexed an array of four. */
static void whisper_cpp_3787_n_dims_overflow(void **state)
{
    (void)state;
    static const uint32_t counts[] = {5, 9, 64, 0x7fffffff, 0x80000000, 0xffffffff};
    static const uint32_t sizes[64] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        begin(&file, 1);
        put_u32(&file, counts[i]);
        put_u32(&file, 1);
        put_u32(&file, 0);
        put_bytes(&file, sizes, sizeof sizes);
        put_text(&file, "w");
        put_zeros(&file, 64);
        assert_refused(&file, AURICLE_E_FORMAT, "dimensions");
    }
    au_buf_deinit(&file);
}

static void damaged_tensors_are_refused(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    begin(&file, 1); /* more bytes than the file has */
    put_tensor_head(&file, "w", 0, 4, (uint32_t[]){0x7fffffff, 0x7fffffff, 0x7fffffff, 0x7fffffff});
    assert_refused(&file, AURICLE_E_FORMAT, "impossible shape");
    begin(&file, 1);
    put_tensor_head(&file, "w", 0, 2, (uint32_t[]){0x10000, 0x10000});
    assert_refused(&file, AURICLE_E_FORMAT, "cut short");
    begin(&file, 1);
    put_tensor_head(&file, "w", 0, 1, (uint32_t[]){0});
    assert_refused(&file, AURICLE_E_FORMAT, "dimension of 0");
    begin(&file, 1);
    put_tensor_head(&file, "w", 0, 1, (uint32_t[]){0xffffffff});
    assert_refused(&file, AURICLE_E_FORMAT, "dimension of -1");
    begin(&file, 1);
    put_tensor_head(&file, "", 0, 1, (uint32_t[]){1});
    put_f32(&file, 1);
    assert_refused(&file, AURICLE_E_FORMAT, "name");
    begin(&file, 1); /* a name as long as four gigabytes */
    put_u32(&file, 1);
    put_u32(&file, 0xffffffff);
    put_u32(&file, 0);
    put_u32(&file, 1);
    put_zeros(&file, 64);
    assert_refused(&file, AURICLE_E_FORMAT, "cut short");
    begin(&file, 1);
    for (int i = 0; i < 2; i++) {
        put_tensor_head(&file, "w", 0, 1, (uint32_t[]){1});
        put_f32(&file, 1);
    }
    assert_refused(&file, AURICLE_E_FORMAT, "twice");
    begin(&file, 1);
    put_tensor_head(&file, "w", 77, 1, (uint32_t[]){1});
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "77");
    begin(&file, 1); /* no tensor at all: whisper.cpp's files for its own tests */
    assert_refused(&file, AURICLE_E_FORMAT, "no weights");
    au_buf_deinit(&file);
}

static void damaged_headers_are_refused(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 0xffffffff, 0x80000000, 1u << 21};
    struct au_buf file;
    au_buf_init(&file, 0);
    for (int field = 0; field < FTYPE; field++)
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            uint32_t fields[N_FIELDS];
            memcpy(fields, plain_header, sizeof fields);
            fields[field] = bad[i];
            au_buf_clear(&file);
            put_header(&file, fields);
            put_filters_and_vocabulary(&file);
            assert_refused(&file, AURICLE_E_FORMAT, "damaged");
        }
    au_buf_clear(&file);
    put_header(&file, plain_header);
    put_u32(&file, 3); /* the header says two mels */
    put_u32(&file, 3);
    assert_refused(&file, AURICLE_E_FORMAT, "mel filters");
    au_buf_clear(&file);
    put_header(&file, plain_header);
    put_u32(&file, 2);
    put_u32(&file, 0x7fffffff);
    assert_refused(&file, AURICLE_E_FORMAT, "mel filters");
    au_buf_deinit(&file);
}

static void damaged_vocabularies_are_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {4, 1u << 30, 0xffffffff};
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        au_buf_clear(&file);
        put_header(&file, plain_header);
        put_u32(&file, 2);
        put_u32(&file, 1);
        put_zeros(&file, 8);
        put_u32(&file, counts[i]);
        put_zeros(&file, 64);
        assert_refused(&file, AURICLE_E_FORMAT, "vocabulary has");
    }
    au_buf_clear(&file);
    put_header(&file, plain_header);
    put_u32(&file, 2);
    put_u32(&file, 1);
    put_zeros(&file, 8);
    put_u32(&file, 3);
    put_u32(&file, 0xfffffff0);
    put_zeros(&file, 64);
    assert_refused(&file, AURICLE_E_FORMAT, "token 0 claims");
    au_buf_deinit(&file);
}

static void the_voice_detector_of_whisper_cpp_is_named(void **state)
{
    (void)state;
    struct au_buf file;
    au_buf_init(&file, 0);
    put_u32(&file, 0x67676d6c);
    put_u32(&file, 10);
    put_text(&file, "silero-16k");
    put_zeros(&file, 64);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "Silero");
    au_buf_deinit(&file);
}

/* A .bin has no count of tensors: a cut between two of them leaves a file that is whole in itself
 * (the model's binding notices what is missing).                                                 */
static size_t end_of_first_tensor;

static bool is_whole_at(size_t length)
{
    return length == end_of_first_tensor;
}

static void damage_never_crashes(void **state)
{
    (void)state;
    struct au_buf file;
    make_small(&file);
    end_of_first_tensor = file.len - 8 - 6 - 4 - 12;
    assert_every_cut_is_refused(&file, is_whole_at);
    survive_damage(&file, 0);
    survive_failing_memory(&file);
    au_buf_deinit(&file);
}

int test_format_ggml(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_filters_vocabulary_and_tensors_are_read),
        cmocka_unit_test(every_quantised_type_loads_with_its_block_size),
        cmocka_unit_test(a_quantised_matrix_comes_back_within_a_step),
        cmocka_unit_test(other_quantisations_are_refused_by_name),
        cmocka_unit_test(whisper_cpp_3787_n_dims_overflow),
        cmocka_unit_test(damaged_tensors_are_refused),
        cmocka_unit_test(damaged_headers_are_refused),
        cmocka_unit_test(damaged_vocabularies_are_refused),
        cmocka_unit_test(the_voice_detector_of_whisper_cpp_is_named),
        cmocka_unit_test(damage_never_crashes),
    };
    return cmocka_run_group_tests_name("format: whisper.cpp", tests, NULL, NULL);
}
