/* A decoder that says what a script says. See script.h. */
#include "support/script.h"

#include <math.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/whisper/parts.h"
#include "recog/session.h"
#include "support/engine.h"
#include "support/support.h"

struct auricle_engine *au_test_script_engine(void)
{
    struct auricle_engine *engine = au_test_engine(
        au_test_source("models/nano"), NULL,
        (struct auricle_engine_options){.max_windows = 1, .threads = 1});
    engine->model->chunk_seconds = 0; /* scripts speak of full windows */
    engine->model->beams = 0;         /* and say one text at a time */
    return engine;
}

static void add_text(struct au_test_script *script, const struct auricle_engine *engine,
                     const char *text, size_t bytes)
{
    size_t n = 0;
    au_test_ok(text_encode(engine->tokenizer, text, bytes, script->tokens + script->n_tokens,
                           AU_TEST_SCRIPT_TOKENS - 1 - script->n_tokens, &n),
               NULL);
    script->n_tokens += n;
}

static void add_token(struct au_test_script *script, int32_t token)
{
    assert_true(script->n_tokens < AU_TEST_SCRIPT_TOKENS);
    script->tokens[script->n_tokens++] = token;
}

/* The line that is spoken now. */
static int present_line(const struct au_test_script *script)
{
    return (script->n_said < script->n_lines ? script->n_said : script->n_lines) - 1;
}

static void begin_line(struct au_test_script *script, const struct auricle_engine *engine)
{
    script->n_said++;
    const char *at = script->lines[present_line(script)], *mark;
    script->n_tokens = 0;
    for (; (mark = strstr(at, "<|")) != NULL; at = strstr(mark, "|>") + 2) {
        char number[16];
        double seconds;
        snprintf(number, sizeof number, "%.*s", (int)strcspn(mark + 2, "|"), mark + 2);
        assert_true(au_parse_double(number, &seconds));
        add_text(script, engine, at, (size_t)(mark - at));
        add_token(script, engine->specials->timestamp_begin + (int32_t)lrint(seconds / 0.02));
    }
    add_text(script, engine, at, strlen(at));
    add_token(script, engine->specials->eot);
}

/* Every hypothesis says the line. */
static void speak(const struct au_test_script *script, struct recog_row *row)
{
    size_t at = row->n_sampled < script->n_tokens ? row->n_sampled : script->n_tokens - 1;
    float logprob = script->logprobs ? script->logprobs[present_line(script)] : -0.1F;
    row->no_speech_prob = 0.01F;
    row->pick = (struct recog_pick){.n = row->n_top};
    for (int i = 0; i < row->n_top; i++) {
        row->pick.id[i] = script->tokens[at];
        row->pick.logprob[i] = logprob;
    }
}

/* Each token is heard a fifth of a second after the one before it. */
static void align(const struct auricle_engine *engine, const struct recog_row *row)
{
    enum { FRAMES = 10, SHARP = 20 };
    size_t n_heads, n = (size_t)row->model.n_tokens, n_frames = (size_t)engine->dims->n_audio_ctx;
    (void)whisper_alignment_heads(engine->model, &n_heads);
    for (size_t r = 0; row->model.cross_weights && r < n_heads * n; r++) {
        size_t at = ((size_t)row->model.n_past + r % n) * FRAMES;
        for (size_t f = 0; f < n_frames; f++)
            row->model.cross_weights[r * n_frames + f] = f / FRAMES == at / FRAMES ? SHARP : 0;
    }
    for (int i = 0; i < row->n_targets; i++)
        row->target_prob[i] = 0.9F;
}

void au_test_script_run(struct au_test_script *script, struct auricle_engine *engine,
                        struct auricle_unit *unit)
{
    bool encode = unit->kind == RECOG_UNIT_ENCODE;
    bool search = unit->n_rows && unit->rows[0].rules && unit->rows[0].n_sampled == 0;
    script->n_encoded += encode;
    if (script->each_search ? search : encode)
        begin_line(script, engine);
    for (size_t i = 0; i < unit->n_rows; i++) {
        struct recog_row *row = &unit->rows[i];
        for (int c = 0; c < row->n_choose; c++)
            row->choose_prob[c] = script->language;
        script->n_prompted += row->model.n_past == 0 &&
                              row->model.tokens[0] == engine->specials->sot_prev;
        align(engine, row);
        if (row->rules)
            speak(script, row);
    }
}

struct auricle_result *au_test_script_hear(struct au_test_script *script,
                                           struct auricle_engine *engine,
                                           struct auricle_session *session)
{
    struct auricle_message message;
    struct auricle_result *result = NULL;
    while (!auricle_session_finished(session)) {
        struct auricle_unit *unit;
        au_test_ok(auricle_session_next(session, &unit, &message), NULL);
        if (!unit)
            continue;
        au_test_script_run(script, engine, unit);
        au_test_ok(auricle_session_complete(session, unit, &message), NULL);
    }
    au_test_ok(auricle_session_take_result(session, &result), NULL);
    auricle_session_destroy(session);
    return result;
}

/* ---- Stages ---------------------------------------------------------------------------------- */

int au_test_stage_set_up(void **state)
{
    enum { N = AU_TEST_STAGE_SECONDS * AU_TEST_STAGE_RATE };
    struct au_test_stage *stage = au_calloc(1, sizeof *stage);
    assert_non_null(stage);
    stage->engine = au_test_script_engine();
    stage->samples = au_alloc_array(N, sizeof *stage->samples);
    assert_non_null(stage->samples);
    for (int i = 0; i < N; i++)
        stage->samples[i] = 0.3F * sinf((float)(i % 80) * 0.0785398F);
    auricle_options_default(&stage->options);
    stage->options.language = "en";
    stage->options.vad = AURICLE_VAD_OFF;
    *state = stage;
    return 0;
}

int au_test_stage_tear_down(void **state)
{
    struct au_test_stage *stage = *state;
    auricle_engine_destroy(stage->engine);
    au_free(stage->samples);
    au_free(stage);
    return 0;
}

struct auricle_session *au_test_stage_session(struct au_test_stage *stage, int seconds)
{
    struct auricle_message message;
    struct auricle_session *session = NULL;
    assert_true(seconds <= AU_TEST_STAGE_SECONDS);
    if (auricle_session_create_samples(stage->engine, stage->samples,
                                       (size_t)seconds * AU_TEST_STAGE_RATE, &stage->options,
                                       &session, &message))
        fail_msg("%s", message.text);
    return session;
}

struct auricle_result *au_test_stage_hear(struct au_test_stage *stage,
                                          struct au_test_script *script, int seconds)
{
    return au_test_script_hear(script, stage->engine, au_test_stage_session(stage, seconds));
}
