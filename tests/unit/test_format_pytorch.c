/* PyTorch checkpoints: archives and pickles made by hand, honest, damaged and hostile. */
#include "test_format.h"

/* ---- Writing zip archives -------------------------------------------------------------------- */

struct entry {
    const char *name;
    const void *data;
    size_t bytes;
};

enum { ZIP64 = 1 };

static void put_local(struct au_buf *file, const struct entry *e)
{
    put_u32(file, 0x04034b50);
    put_u16(file, 0);
    put_u16(file, 0x808); /* sizes follow the data: as torch writes it */
    put_u16(file, 0);
    put_u32(file, 0);
    put_u32(file, 0);
    put_u32(file, 0);
    put_u32(file, 0);
    put_u16(file, (uint16_t)strlen(e->name));
    put_u16(file, 3); /* padding in the extra field, so that data is odd */
    put_text(file, e->name);
    put_text(file, "FB\n");
    put_bytes(file, e->data, e->bytes);
}

static void put_central(struct au_buf *file, const struct entry *e, size_t offset, int flags)
{
    put_u32(file, 0x02014b50);
    put_u16(file, 0);
    put_u16(file, 0);
    put_u16(file, 0x808);
    put_u16(file, 0); /* stored */
    put_u32(file, 0);
    put_u32(file, 0); /* crc */
    put_u32(file, (uint32_t)e->bytes);
    put_u32(file, (uint32_t)e->bytes);
    put_u16(file, (uint16_t)strlen(e->name));
    put_u16(file, flags & ZIP64 ? 4 + 8 : 0);
    put_u16(file, 0);
    put_u16(file, 0);
    put_u16(file, 0);
    put_u32(file, 0);
    put_u32(file, flags & ZIP64 ? UINT32_MAX : (uint32_t)offset);
    put_text(file, e->name);
    if (flags & ZIP64) {
        put_u16(file, 1);
        put_u16(file, 8);
        put_u64(file, offset);
    }
}

static void put_end64(struct au_buf *file, size_t n, size_t offset, size_t bytes)
{
    size_t at = file->len;
    put_u32(file, 0x06064b50);
    put_u64(file, 44);
    put_u16(file, 0);
    put_u16(file, 0);
    put_u32(file, 0);
    put_u32(file, 0);
    put_u64(file, n);
    put_u64(file, n);
    put_u64(file, bytes);
    put_u64(file, offset);
    put_u32(file, 0x07064b50);
    put_u32(file, 0);
    put_u64(file, at);
    put_u32(file, 1);
}

static void put_zip(struct au_buf *file, const struct entry *entries, size_t n, int flags)
{
    size_t offsets[8];
    assert_true(n <= 8);
    for (size_t i = 0; i < n; i++) {
        offsets[i] = file->len;
        put_local(file, &entries[i]);
    }
    size_t directory = file->len;
    for (size_t i = 0; i < n; i++)
        put_central(file, &entries[i], offsets[i], flags);
    size_t bytes = file->len - directory;
    if (flags & ZIP64)
        put_end64(file, n, directory, bytes);
    put_u32(file, 0x06054b50);
    put_u16(file, 0);
    put_u16(file, 0);
    put_u16(file, flags & ZIP64 ? UINT16_MAX : (uint16_t)n);
    put_u16(file, flags & ZIP64 ? UINT16_MAX : (uint16_t)n);
    put_u32(file, flags & ZIP64 ? UINT32_MAX : (uint32_t)bytes);
    put_u32(file, flags & ZIP64 ? UINT32_MAX : (uint32_t)directory);
    put_u16(file, 0);
}

/* ---- Writing pickles ------------------------------------------------------------------------- */

static void pickle_text(struct au_buf *p, const char *text)
{
    put_u8(p, 'X');
    put_u32(p, (uint32_t)strlen(text));
    put_text(p, text);
}

static void pickle_int(struct au_buf *p, uint32_t value)
{
    put_u8(p, 'J');
    put_u32(p, value);
}

static void pickle_sizes(struct au_buf *p, const uint32_t *sizes, int n)
{
    put_u8(p, '(');
    for (int i = 0; i < n; i++)
        pickle_int(p, sizes[i]);
    put_u8(p, 't');
}

static void pickle_storage(struct au_buf *p, const char *type, const char *key, uint32_t n)
{
    put_u8(p, '(');
    pickle_text(p, "storage");
    put_text(p, "ctorch\n");
    put_text(p, type);
    put_text(p, "\n");
    pickle_text(p, key);
    pickle_text(p, "cpu");
    pickle_int(p, n);
    put_text(p, "tQ");
}

struct view {
    const char *type, *key;
    uint32_t n_storage, offset;
    int n_dims;
    uint32_t shape[8], stride[8];
};

static void pickle_tensor(struct au_buf *p, const struct view *view)
{
    put_text(p, "ctorch._utils\n_rebuild_tensor_v2\n(");
    pickle_storage(p, view->type, view->key, view->n_storage);
    pickle_int(p, view->offset);
    pickle_sizes(p, view->shape, view->n_dims);
    pickle_sizes(p, view->stride, view->n_dims);
    put_text(p, "\x89"
                "ccollections\nOrderedDict\n)RtR");
}

static const float numbers[6] = {0, 1, 2, 3, 4, 5};

/* An archive whose pickle is `pickle` (from data.pkl on) and whose storage "0" holds 0 ... 5. */
static void make_archive(struct au_buf *file, const void *pickle, size_t bytes, int flags)
{
    const struct entry entries[] = {{"archive/data.pkl", pickle, bytes},
                                    {"archive/byteorder", "little", 6},
                                    {"archive/data/0", numbers, sizeof numbers},
                                    {"archive/version", "3\n", 2}};
    au_buf_clear(file);
    put_zip(file, entries, 4, flags);
}

/* {"w": view} */
static void make_one(struct au_buf *file, const struct view *view)
{
    struct au_buf pickle;
    au_buf_init(&pickle, 0);
    put_text(&pickle, "\x80\x02}");
    pickle_text(&pickle, "w");
    pickle_tensor(&pickle, view);
    put_text(&pickle, "s.");
    make_archive(file, pickle.data, pickle.len, 0);
    au_buf_deinit(&pickle);
}

static void assert_pickle_refused_n(const char *pickle, size_t bytes, enum auricle_error error,
                                    const char *part)
{
    struct au_buf file;
    au_buf_init(&file, 0);
    make_archive(&file, pickle, bytes, 0);
    assert_refused(&file, error, part);
    au_buf_deinit(&file);
}
#define assert_pickle_refused(pickle, error, part) \
    assert_pickle_refused_n(pickle, sizeof pickle - 1, error, part)

static const struct view plain = {"FloatStorage", "0", 6, 0, 2, {2, 3}, {3, 1}};

/* ---- Tests ----------------------------------------------------------------------------------- */

static void make_whisper(struct au_buf *file, int flags)
{
    static const char *const dims[] = {
        "n_mels",  "n_audio_ctx", "n_audio_state", "n_audio_head", "n_audio_layer",
        "n_vocab", "n_text_ctx",  "n_text_state",  "n_text_head",  "n_text_layer"};
    struct au_buf pickle;
    au_buf_init(&pickle, 0);
    put_text(&pickle, "\x80\x02}(");
    pickle_text(&pickle, "dims");
    put_text(&pickle, "}(");
    for (uint32_t i = 0; i < 10; i++) {
        pickle_text(&pickle, dims[i]);
        pickle_int(&pickle, i + 1);
    }
    put_text(&pickle, "u");
    pickle_text(&pickle, "model_state_dict");
    put_text(&pickle, "}(");
    pickle_text(&pickle, "a");
    pickle_tensor(&pickle, &plain);
    pickle_text(&pickle, "b");
    pickle_tensor(&pickle, &(struct view){"FloatStorage", "0", 6, 4, 1, {2}, {1}});
    put_text(&pickle, "uu.");
    au_buf_init(file, 0);
    make_archive(file, pickle.data, pickle.len, flags);
    au_buf_deinit(&pickle);
}

static void a_whisper_checkpoint_gives_dims_and_tensors(void **state)
{
    (void)state;
    for (int flags = 0; flags <= ZIP64; flags++) {
        struct au_buf file;
        struct opened opened;
        make_whisper(&file, flags);
        open_file(&file, &opened);
        if (opened.error)
            fail_msg("%s", opened.fault.text);
        assert_int_equal(format_weights_kind(opened.weights), FORMAT_PYTORCH);
        const struct format_ggml_header *h = format_weights_whisper(opened.weights)->ggml;
        assert_int_equal(h->n_mels, 1);
        assert_int_equal(h->n_vocab, 6);
        assert_int_equal(h->n_text_layer, 10);
        assert_int_equal(h->ftype, -1);
        assert_int_equal(format_weights_count(opened.weights), 2);
        assert_shape(opened.weights, "a", "[2, 3]");
        assert_true(element(opened.weights, "a", 5) == 5.0f);
        assert_true(element(opened.weights, "b", 0) == 4.0f);
        assert_int_equal(format_weights_find(opened.weights, "b")->bytes, 8);
        close_opened(&opened);
        au_buf_deinit(&file);
    }
}

static void views_that_are_not_contiguous_are_copied(void **state)
{
    (void)state;
    static const struct {
        struct view view;
        const char *shape;
        float values[6];
        size_t n;
    } cases[] = {
        {{"FloatStorage", "0", 6, 0, 2, {3, 2}, {1, 3}}, "[3, 2]", {0, 3, 1, 4, 2, 5}, 6},
        {{"FloatStorage", "0", 6, 1, 1, {3}, {2}}, "[3]", {1, 3, 5}, 3},
        {{"FloatStorage", "0", 6, 2, 3, {2, 1, 2}, {0, 9, 1}}, "[2, 1, 2]", {2, 3, 2, 3}, 4},
        {{"FloatStorage", "0", 6, 5, 0, {0}, {0}}, "[]", {5}, 1},
        {{"FloatStorage", "0", 6, 3, 2, {1, 3}, {77, 1}}, "[1, 3]", {3, 4, 5}, 3},
        {{"FloatStorage", "0", 6, 0, 2, {0, 4}, {4, 1}}, "[0, 4]", {0}, 0},
    };
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct opened opened;
        make_one(&file, &cases[i].view);
        open_file(&file, &opened);
        if (opened.error)
            fail_msg("%s", opened.fault.text);
        assert_shape(opened.weights, "w", cases[i].shape);
        for (size_t j = 0; j < cases[i].n; j++)
            assert_true(element(opened.weights, "w", j) == cases[i].values[j]);
        close_opened(&opened);
    }
    au_buf_deinit(&file);
}

static void views_outside_their_storage_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct view view;
        const char *part;
    } cases[] = {
        {{"FloatStorage", "0", 6, 0, 2, {2, 4}, {3, 1}}, "outside its storage"},
        {{"FloatStorage", "0", 6, 1, 2, {2, 3}, {3, 1}}, "outside its storage"},
        {{"FloatStorage", "0", 6, 6, 0, {0}, {0}}, "outside its storage"},
        {{"FloatStorage", "0", 6, 0x7fffffff, 1, {1}, {1}}, "outside its storage"},
        {{"FloatStorage", "0", 6, 0, 2, {0x7fffffff, 0x7fffffff}, {0x7fffffff, 1}}, "outside"},
        {{"FloatStorage", "0", 6, 0xffffffff, 1, {1}, {1}}, "something else"},
        {{"FloatStorage", "0", 6, 0, 1, {0xffffffff}, {1}}, "something else"},
        {{"FloatStorage", "0", 6, 0, 1, {1}, {0xffffffff}}, "something else"},
        {{"FloatStorage", "0", 7, 0, 1, {1}, {1}}, "claims 7 elements"},
        {{"DoubleStorage", "0", 6, 0, 1, {1}, {1}}, "claims 6 elements of f64"},
        {{"FloatStorage", "0", 0xffffffff, 0, 1, {1}, {1}}, "not a storage"},
        {{"FloatStorage", "1", 6, 0, 1, {1}, {1}}, "storage '1'"},
        {{"FloatStorage", "../data/0", 6, 0, 1, {1}, {1}}, "no entry"},
    };
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make_one(&file, &cases[i].view);
        assert_refused(&file, AURICLE_E_FORMAT, cases[i].part);
    }
    make_one(&file, &(struct view){"QInt8Storage", "0", 6, 0, 1, {1}, {1}});
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "torch.QInt8Storage");
    /* Expanded views would make a small file fill the memory. */
    make_one(&file, &(struct view){"FloatStorage", "0", 6, 0, 2, {0x7fffffff, 6}, {0, 1}});
    assert_refused(&file, AURICLE_E_LIMIT, "more memory than the file");
    au_buf_deinit(&file);
}

static void every_storage_type_loads(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum format_type type;
    } types[] = {{"FloatStorage", FORMAT_F32},     {"HalfStorage", FORMAT_F16},
                 {"BFloat16Storage", FORMAT_BF16}, {"DoubleStorage", FORMAT_F64},
                 {"LongStorage", FORMAT_I64},      {"IntStorage", FORMAT_I32},
                 {"ShortStorage", FORMAT_I16},     {"CharStorage", FORMAT_I8},
                 {"ByteStorage", FORMAT_U8},       {"BoolStorage", FORMAT_BOOL}};
    struct au_buf file;
    au_buf_init(&file, 0);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct opened opened;
        make_one(&file, &(struct view){types[i].name, "0", 3, 1, 1, {2}, {1}});
        open_file(&file, &opened);
        assert_int_equal(opened.error, AURICLE_OK);
        assert_int_equal(format_weights_find(opened.weights, "w")->type, types[i].type);
        close_opened(&opened);
    }
    au_buf_deinit(&file);
}

static void pickles_that_want_more_than_data_are_refused_by_name(void **state)
{
    (void)state;
    assert_pickle_refused("\x80\x02"
                          "cos\nsystem\n(X\x02\0\0\0lstR.",
                          AURICLE_E_UNSUPPORTED, "'os.system'");
    assert_pickle_refused("\x80\x02"
                          "c__builtin__\neval\n.",
                          AURICLE_E_UNSUPPORTED, "'__builtin__.eval'");
    assert_pickle_refused("\x80\x04\x8c\x05posix\x8c\x06system\x93.", AURICLE_E_UNSUPPORTED,
                          "'posix.system'");
    assert_pickle_refused("\x80\x02"
                          "cnumpy.core.multiarray\nscalar\n.",
                          AURICLE_E_UNSUPPORTED, "'numpy.core.multiarray.scalar'");
    /* Names that only begin like allowed ones. */
    assert_pickle_refused("\x80\x02"
                          "ctorch._utils\n_rebuild_tensor_v3\n.",
                          AURICLE_E_UNSUPPORTED, "_rebuild_tensor_v3");
    assert_pickle_refused("\x80\x02"
                          "ctorch\n_utils._rebuild_tensor_v2.x\n.",
                          AURICLE_E_UNSUPPORTED, "Python object");
    /* INST, OBJ, NEWOBJ, EXT1, protocol 0 numbers. */
    assert_pickle_refused("\x80\x02(ios\nsystem\n.", AURICLE_E_UNSUPPORTED, "instruction 0x69");
    assert_pickle_refused("\x80\x02)\x81.", AURICLE_E_UNSUPPORTED, "instruction 0x81");
    assert_pickle_refused("\x80\x02\x82\x01.", AURICLE_E_UNSUPPORTED, "instruction 0x82");
    assert_pickle_refused("I1\n.", AURICLE_E_UNSUPPORTED, "instruction 0x49");
    assert_pickle_refused("\x80\x06.", AURICLE_E_UNSUPPORTED, "protocol 6");
}

static void malformed_pickles_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pickle;
        size_t bytes;
    } cases[] = {
#define BYTES(text) text, sizeof text - 1
        {BYTES("")},
        {BYTES("\x80")},
        {BYTES("\x80\x02")},
        {BYTES(".")},
        {BYTES("}")},
        {BYTES("}}.")},            /* two values left */
        {BYTES("(}.")},            /* an open mark */
        {BYTES("t.")},             /* no mark */
        {BYTES("u.")},             /*  */
        {BYTES("(u.")},            /* no dictionary below the mark */
        {BYTES("N(u.")},           /* not a dictionary */
        {BYTES("}(Nu.")},          /* a key without a value */
        {BYTES("}Ns.")},           /* */
        {BYTES("]a.")},            /* nothing to append */
        {BYTES("NNa.")},           /* not a list */
        {BYTES("](Na.")},          /* the list lies below a mark */
        {BYTES("\x85.")},          /* a tuple of nothing */
        {BYTES("N\x86.")},         /* */
        {BYTES("N(\x85t.")},       /* the tuple would reach below a mark */
        {BYTES("q\0.")},           /* remembers nothing */
        {BYTES("h\0.")},           /* recalls nothing */
        {BYTES("Nr\5\0\0\0h\1.")}, /* a hole in the memo */
        {BYTES("X\xff\xff\xff\xff.")},
        {BYTES("\x8d\xff\xff\xff\xff\xff\xff\xff\xff.")},
        {BYTES("ctorch\nFloatStorage")},
        {BYTES("R.")},
        {BYTES("NNR.")},
        {BYTES("N)R.")},
        {BYTES("ctorch\nFloatStorage\n)R.")},
        {BYTES("ccollections\nOrderedDict\nN\x85R.")},
        {BYTES("ctorch._utils\n_rebuild_tensor_v2\n)R.")},
        {BYTES("ctorch._utils\n_rebuild_parameter\n)R.")},
        {BYTES("NQ.")},
        {BYTES("(NNNNNtQ.")},
        {BYTES("}b.")},
        {BYTES("N}b.")},
        {BYTES("NN\x93.")},
        {BYTES("N.")}, /* no dictionary at all */
        {BYTES("}.")}, /* one without tensors */
#undef BYTES
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_pickle_refused_n(cases[i].pickle, cases[i].bytes, AURICLE_E_FORMAT, "");
}

static void a_pickle_that_contains_itself_does_no_harm(void **state)
{
    (void)state;
    assert_pickle_refused("\x80\x02}q\0X\1\0\0\0ah\0s.", AURICLE_E_FORMAT, "without tensors");
    assert_pickle_refused("\x80\x02}q\0X\x10\0\0\0model_state_dicth\0s.", AURICLE_E_FORMAT,
                          "without tensors");
    assert_pickle_refused("\x80\x02]q\0h\0a.", AURICLE_E_FORMAT, "dictionary");
}

static void fill(struct au_buf *pickle, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        put_text(pickle, text);
}

static void stack_memo_marks_and_values_are_limited(void **state)
{
    (void)state;
    struct au_buf pickle;
    au_buf_init(&pickle, 0);
    fill(&pickle, "N", 70000);
    assert_pickle_refused_n(pickle.data, pickle.len, AURICLE_E_LIMIT, "stack");
    au_buf_clear(&pickle);
    fill(&pickle, "(", 300);
    assert_pickle_refused_n(pickle.data, pickle.len, AURICLE_E_LIMIT, "nests");
    au_buf_clear(&pickle);
    put_text(&pickle, "]");
    fill(&pickle, "Na", 600000);
    assert_pickle_refused_n(pickle.data, pickle.len, AURICLE_E_LIMIT, "values");
    assert_pickle_refused("Nr\xff\xff\xff\x7f.", AURICLE_E_LIMIT, "remembers");
    assert_pickle_refused("\x8a\x09\1\1\1\1\1\1\1\1\1.", AURICLE_E_UNSUPPORTED, "9 bytes");
    au_buf_deinit(&pickle);
}

static void other_archives_are_named(void **state)
{
    (void)state;
    const struct entry other[] = {{"word/document.xml", "<x/>", 4}};
    const struct entry script[] = {{"m/data.pkl", "N.", 2}, {"m/constants.pkl", "N.", 2}};
    const struct entry big_endian[] = {{"m/data.pkl", "N.", 2}, {"m/byteorder", "big", 3}};
    const struct entry twice[] = {{"m/data.pkl", "N.", 2}, {"m/data.pkl", "N.", 2}};
    struct au_buf file;
    au_buf_init(&file, 0);
    put_zip(&file, other, 1, 0);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "without a data.pkl");
    au_buf_clear(&file);
    put_zip(&file, script, 2, 0);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "TorchScript");
    au_buf_clear(&file);
    put_zip(&file, big_endian, 2, 0);
    assert_refused(&file, AURICLE_E_UNSUPPORTED, "big-endian");
    au_buf_clear(&file);
    put_zip(&file, twice, 2, 0);
    assert_refused(&file, AURICLE_E_FORMAT, "two entries");
    au_buf_deinit(&file);
}

/* Change one byte of the first directory entry. */
static void assert_entry_refused(size_t offset, uint8_t bits, enum auricle_error error,
                                 const char *part)
{
    struct au_buf file;
    make_whisper(&file, 0);
    char *found = memmem(file.data, file.len, "PK\1\2", 4);
    assert_non_null(found);
    found[offset] = (char)(found[offset] ^ bits);
    assert_refused(&file, error, part);
    au_buf_deinit(&file);
}

static void damaged_directories_are_refused(void **state)
{
    (void)state;
    assert_entry_refused(8, 1, AURICLE_E_UNSUPPORTED, "encrypted");
    assert_entry_refused(10, 8, AURICLE_E_UNSUPPORTED, "compressed");
    assert_entry_refused(20, 1, AURICLE_E_FORMAT, "entry"); /* packed differs from unpacked */
    assert_entry_refused(28, 0x80, AURICLE_E_FORMAT, "directory"); /* length of the name */
    assert_entry_refused(42, 1, AURICLE_E_FORMAT, "where it should be");
    assert_entry_refused(45, 0x40, AURICLE_E_FORMAT, "where it should be");
    assert_entry_refused(0, 1, AURICLE_E_FORMAT, "ends early");

    struct au_buf file; /* more entries than there is room for */
    make_whisper(&file, 0);
    memset(file.data + file.len - 12, 0xff, 2);
    assert_refused(&file, AURICLE_E_FORMAT, "more entries");
    au_buf_deinit(&file);
    make_whisper(&file, ZIP64); /* a 64-bit directory beyond the end */
    memset(file.data + file.len - 22 - 20 - 8, 0x7f, 8);
    assert_refused(&file, AURICLE_E_FORMAT, "outside the file");
    au_buf_deinit(&file);
}

static void a_comment_behind_the_archive_is_fine(void **state)
{
    (void)state;
    struct au_buf file;
    make_whisper(&file, 0);
    file.data[file.len - 2] = 5;
    put_text(&file, "hello");
    assert_loads(&file);
    put_text(&file, "!");
    assert_refused(&file, AURICLE_E_FORMAT, "end record");
    au_buf_deinit(&file);
}

static void damage_never_crashes(void **state)
{
    (void)state;
    for (int flags = 0; flags <= ZIP64; flags++) {
        struct au_buf file;
        make_whisper(&file, flags);
        assert_every_cut_is_refused(&file, NULL);
        survive_damage(&file, 0);
        survive_failing_memory(&file);
        au_buf_deinit(&file);
    }
}

int test_format_pytorch(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whisper_checkpoint_gives_dims_and_tensors),
        cmocka_unit_test(views_that_are_not_contiguous_are_copied),
        cmocka_unit_test(views_outside_their_storage_are_refused),
        cmocka_unit_test(every_storage_type_loads),
        cmocka_unit_test(pickles_that_want_more_than_data_are_refused_by_name),
        cmocka_unit_test(malformed_pickles_are_refused),
        cmocka_unit_test(a_pickle_that_contains_itself_does_no_harm),
        cmocka_unit_test(stack_memo_marks_and_values_are_limited),
        cmocka_unit_test(other_archives_are_named),
        cmocka_unit_test(damaged_directories_are_refused),
        cmocka_unit_test(a_comment_behind_the_archive_is_fine),
        cmocka_unit_test(damage_never_crashes),
    };
    return cmocka_run_group_tests_name("format: PyTorch", tests, NULL, NULL);
}
