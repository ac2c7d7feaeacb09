/* config.json and its companions beside Whisper weights. */
#include "test_format.h"

#include "format/whisper_config.h"

static struct format_whisper_config config; /* large: not for the stack */

static void assert_read(const char *folder)
{
    struct au_fault fault = {0};
    au_test_ok(format_whisper_config_read(folder, &config, &fault), &fault);
}

static void assert_config_refused(const char *folder, enum auricle_error error, const char *part)
{
    struct au_fault fault = {0};
    enum auricle_error got = format_whisper_config_read(folder, &config, &fault);
    if (got != error || !strstr(fault.text, part))
        fail_msg("expected %s with '%s', got %s: %s", auricle_error_name(error), part,
                 auricle_error_name(got), fault.text);
}

static void an_empty_folder_gives_nothing_and_no_error(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    assert_read(folder);
    assert_false(config.has_hf_config || config.has_ct2_config || config.has_generation ||
                 config.has_preprocessor);
    assert_int_equal(config.n_mels, -1);
    assert_int_equal(config.n_text_layer, -1);
    assert_int_equal(config.eot, -1);
    assert_int_equal(config.is_multilingual, -1);
    assert_int_equal(config.chunk_length_s, -1);
    assert_int_equal(config.num_beams, -1);
    assert_false(config.has_suppress || config.has_alignment_heads);
    au_test_scratch_remove(folder);
}

static void a_hugging_face_folder_is_read(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    write_text(folder, "config.json",
               "{\"model_type\":\"whisper\",\"d_model\":384,\"encoder_layers\":4,"
               "\"encoder_attention_heads\":6,\"encoder_ffn_dim\":1536,\"decoder_layers\":2,"
               "\"decoder_attention_heads\":6,\"decoder_ffn_dim\":1536,\"num_mel_bins\":80,"
               "\"max_source_positions\":1500,\"max_target_positions\":448,\"vocab_size\":51865,"
               "\"eos_token_id\":50257,\"suppress_tokens\":[1,2],"
               "\"begin_suppress_tokens\":[220,50257],\"torch_dtype\":\"float16\"}");
    write_text(folder, "generation_config.json",
               "{\"alignment_heads\":[[1,0],[2,5]],\"suppress_tokens\":[],"
               "\"begin_suppress_tokens\":null,\"decoder_start_token_id\":50258,"
               "\"eos_token_id\":[50257,50256],\"is_multilingual\":true,"
               "\"no_timestamps_token_id\":50363,\"prev_sot_token_id\":50361,"
               "\"max_initial_timestamp_index\":50,\"chunk_length_s\":6,\"num_beams\":5,"
               "\"task_to_id\":{\"transcribe\":50359,\"translate\":50358},"
               "\"lang_to_id\":{\"<|en|>\":50259,\"<|haw|>\":50352}}");
    write_text(folder, "preprocessor_config.json", "{\"feature_size\":128,\"nb_max_frames\":3000}");
    assert_read(folder);
    assert_true(config.has_hf_config && config.has_generation && config.has_preprocessor);
    assert_false(config.has_ct2_config);
    assert_int_equal(config.n_audio_state, 384);
    assert_int_equal(config.n_text_state, 384);
    assert_int_equal(config.n_audio_layer, 4);
    assert_int_equal(config.n_audio_head, 6);
    assert_int_equal(config.n_audio_ffn, 1536);
    assert_int_equal(config.n_text_layer, 2);
    assert_int_equal(config.n_text_head, 6);
    assert_int_equal(config.n_text_ffn, 1536);
    assert_int_equal(config.n_mels, 80);
    assert_int_equal(config.n_audio_ctx, 1500);
    assert_int_equal(config.n_text_ctx, 448);
    assert_int_equal(config.n_vocab, 51865);
    assert_int_equal(config.feature_size, 128);
    assert_int_equal(config.nb_max_frames, 3000);
    assert_int_equal(config.eot, 50257);
    assert_int_equal(config.sot, 50258);
    assert_int_equal(config.sot_prev, 50361);
    assert_int_equal(config.no_timestamps, 50363);
    assert_int_equal(config.transcribe, 50359);
    assert_int_equal(config.translate, 50358);
    assert_int_equal(config.max_initial_timestamp_index, 50);
    assert_int_equal(config.chunk_length_s, 6);
    assert_int_equal(config.num_beams, 5);
    assert_int_equal(config.is_multilingual, 1);
    assert_true(config.has_suppress); /* generation_config wins: an empty list */
    assert_int_equal(config.n_suppress, 0);
    assert_true(config.has_suppress_begin); /* null there: config.json's stays */
    assert_int_equal(config.n_suppress_begin, 2);
    assert_int_equal(config.suppress_begin[0], 220);
    assert_int_equal(config.n_alignment_heads, 2);
    assert_int_equal(config.alignment_heads[1].layer, 2);
    assert_int_equal(config.alignment_heads[1].head, 5);
    assert_int_equal(config.n_languages, 2);
    assert_string_equal(config.languages[1].code, "haw");
    assert_int_equal(config.languages[1].id, 50352);
    au_test_scratch_remove(folder);
}

static void a_ctranslate2_folder_is_read(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    write_text(folder, "config.json",
               "{\"alignment_heads\":[[3,1]],\"lang_ids\":[50259,50260],"
               "\"suppress_ids\":[1,2,7],\"suppress_ids_begin\":[220,50257]}");
    assert_read(folder);
    assert_true(config.has_ct2_config);
    assert_false(config.has_hf_config);
    assert_int_equal(config.n_mels, -1);
    assert_int_equal(config.n_suppress, 3);
    assert_int_equal(config.suppress[2], 7);
    assert_int_equal(config.n_suppress_begin, 2);
    assert_int_equal(config.n_languages, 2);
    assert_string_equal(config.languages[0].code, "");
    assert_int_equal(config.languages[1].id, 50260);
    assert_int_equal(config.alignment_heads[0].layer, 3);
    au_test_scratch_remove(folder);
}

static void another_model_family_is_named(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    write_text(folder, "config.json", "{\"model_type\":\"wav2vec2\"}");
    assert_config_refused(folder, AURICLE_E_UNSUPPORTED, "wav2vec2");
    write_text(folder, "config.json", "{}");
    assert_config_refused(folder, AURICLE_E_UNSUPPORTED, "model_type");
    au_test_scratch_remove(folder);
}

static void values_out_of_range_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"config.json", "{\"model_type\":\"whisper\",\"d_model\":0}"},
        {"config.json", "{\"model_type\":\"whisper\",\"d_model\":\"384\"}"},
        {"config.json", "{\"model_type\":\"whisper\",\"d_model\":-384}"},
        {"config.json", "{\"model_type\":\"whisper\",\"vocab_size\":99999999999}"},
        {"config.json", "{\"model_type\":\"whisper\",\"encoder_layers\":4.5}"},
        {"config.json", "{\"model_type\":\"whisper\",\"suppress_tokens\":7}"},
        {"config.json", "{\"model_type\":\"whisper\",\"suppress_tokens\":[-1]}"},
        {"config.json", "{\"model_type\":\"whisper\",\"suppress_tokens\":[[1]]}"},
        {"config.json", "[1]"},
        {"config.json", "{\"model_type\""},
        {"config.json", ""},
        {"generation_config.json", "{\"alignment_heads\":[[1]]}"},
        {"generation_config.json", "{\"alignment_heads\":[[1,40000]]}"},
        {"generation_config.json", "{\"alignment_heads\":[1,0]}"},
        {"generation_config.json", "{\"alignment_heads\":{}}"},
        {"generation_config.json", "{\"lang_to_id\":{\"en\":50259}}"},
        {"generation_config.json", "{\"lang_to_id\":{\"<|averyverylonglanguage|>\":50259}}"},
        {"generation_config.json", "{\"lang_to_id\":{\"<|en|>\":null}}"},
        {"generation_config.json", "{\"lang_to_id\":[]}"},
        {"generation_config.json", "{\"task_to_id\":{\"translate\":true}}"},
        {"preprocessor_config.json", "{\"feature_size\":0}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *folder = au_test_scratch_folder();
        write_text(folder, cases[i][0], cases[i][1]);
        assert_config_refused(folder, AURICLE_E_FORMAT, cases[i][0]);
        au_test_scratch_remove(folder);
    }
}

static void lists_over_the_limit_are_refused(void **state)
{
    (void)state;
    struct au_buf text;
    char *folder = au_test_scratch_folder();
    au_buf_init(&text, 0);
    au_buf_puts(&text, "{\"suppress_tokens\":[0");
    for (int i = 0; i < FORMAT_MAX_SUPPRESSED; i++)
        au_buf_puts(&text, ",1");
    au_buf_puts(&text, "]}");
    write_text(folder, "generation_config.json", text.data);
    assert_config_refused(folder, AURICLE_E_FORMAT, "suppress_tokens");

    au_buf_clear(&text);
    au_buf_puts(&text, "{\"alignment_heads\":[[0,0]");
    for (int i = 0; i < FORMAT_MAX_ALIGNMENT_HEADS; i++)
        au_buf_puts(&text, ",[0,0]");
    au_buf_puts(&text, "]}");
    write_text(folder, "generation_config.json", text.data);
    assert_config_refused(folder, AURICLE_E_FORMAT, "alignment_heads");

    au_buf_clear(&text);
    au_buf_puts(&text, "{\"lang_ids\":[1");
    for (int i = 0; i < FORMAT_MAX_CONFIG_LANGUAGES; i++)
        au_buf_puts(&text, ",1");
    au_buf_puts(&text, "]}");
    au_test_scratch_remove(folder);
    folder = au_test_scratch_folder();
    write_text(folder, "config.json", text.data);
    assert_config_refused(folder, AURICLE_E_FORMAT, "lang_ids");
    au_buf_deinit(&text);
    au_test_scratch_remove(folder);
}

static enum auricle_error read_attempt(void *folder)
{
    struct au_fault fault = {0};
    return format_whisper_config_read(folder, &config, &fault);
}

static void failing_memory(void **state)
{
    (void)state;
    char *folder = au_test_scratch_folder();
    write_text(folder, "config.json", "{\"model_type\":\"whisper\",\"suppress_tokens\":[1,2]}");
    write_text(folder, "generation_config.json", "{\"lang_to_id\":{\"<|en|>\":50259}}");
    au_test_fail_each_allocation(read_attempt, folder, 10000);
    au_test_scratch_remove(folder);
}

int test_format_config(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_folder_gives_nothing_and_no_error),
        cmocka_unit_test(a_hugging_face_folder_is_read),
        cmocka_unit_test(a_ctranslate2_folder_is_read),
        cmocka_unit_test(another_model_family_is_named),
        cmocka_unit_test(values_out_of_range_are_refused),
        cmocka_unit_test(lists_over_the_limit_are_refused),
        cmocka_unit_test(failing_memory),
    };
    return cmocka_run_group_tests_name("format: config", tests, NULL, NULL);
}
