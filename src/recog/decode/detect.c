/* Language detection. See detect.h. */
#include "recog/decode/detect.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "recog/session.h"

void recog_detect_deinit(struct recog_detect *detect)
{
    if (detect->unit_out)
        recog_cells_unref(detect->engine->free_cells, &detect->cell, 1);
    detect->unit_out = false;
}

struct auricle_unit *recog_detect_unit(struct recog_detect *detect, struct auricle_engine *engine,
                                       struct auricle_session *session,
                                       const struct whisper_window *window)
{
    const struct text_specials *specials = engine->specials;
    detect->engine = engine;
    detect->cell = recog_cells_take(detect->engine->free_cells);
    detect->unit_out = true;
    detect->row = (struct recog_row){.no_speech = -1,
                                     .choose = session ? session->candidates : specials->language,
                                     .n_choose = specials->n_languages,
                                     .choose_prob = detect->probability};
    detect->row.model = (struct whisper_row){.window = window,
                                             .tokens = &specials->sot,
                                             .cells = &detect->cell,
                                             .n_tokens = 1,
                                             .n_logits = 1};
    detect->unit = (struct auricle_unit){
        .kind = RECOG_UNIT_DECODE, .session = session, .rows = &detect->row, .n_rows = 1};
    return &detect->unit;
}

int recog_detect_done(struct recog_detect *detect)
{
    int best = -1;
    recog_cells_unref(detect->engine->free_cells, &detect->cell, 1);
    detect->unit_out = false;
    for (int i = 0; i < detect->row.n_choose; i++) {
        float *probability = &detect->probability[i];
        if (isnan(*probability))
            *probability = 0;
        if (detect->row.choose[i] >= 0 && (best < 0 || *probability > detect->probability[best]))
            best = i;
    }
    assert(best >= 0); /* sessions are refused that may choose none */
    return best;
}

void recog_detect_decide(struct recog_detect *detect, struct auricle_session *session,
                         int64_t n_samples)
{
    session->language = recog_detect_done(detect);
    session->language_probability = detect->probability[session->language];
    session->language_samples = n_samples;
    memcpy(session->language_probabilities, detect->probability, sizeof detect->probability);
}
