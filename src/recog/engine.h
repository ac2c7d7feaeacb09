/* The engine: one model with everything needed to run units of it.
 *
 * Everything but the workspace and the cell pool is immutable after loading. auricle_engine_run
 * uses the workspace under a lock, so that runs wait for one another; the cell pool and the
 * seats have their own, so that sessions may be built and fed meanwhile.                         */
#ifndef RECOG_ENGINE_H
#define RECOG_ENGINE_H

#include <pthread.h>

#include "audio/mel.h"
#include "auricle/auricle.h"
#include "base/pool.h"
#include "kern/kern.h"
#include "model/silero/silero.h"
#include "model/whisper/whisper.h"
#include "recog/seats.h"
#include "tensor/workspace.h"
#include "text/tokenizer.h"

struct auricle_engine {
    const struct kern_ops *ops;
    struct au_pool *pool;
    struct whisper_model *model;
    const struct whisper_dims *dims;
    struct text_tokenizer *tokenizer;
    const struct text_specials *specials;
    struct audio_mel *mel;
    struct silero_model *vad; /* NULL: none was named */
    struct auricle_model_info info;
    char *path;
    int max_windows, max_beams;
    /* Running: limits of one batch and the memory for it. */
    pthread_mutex_t running;
    size_t batch_rows, batch_tokens, batch_logits;
    struct tensor_workspace workspace;
    struct whisper_cells *cells;
    struct recog_cells *free_cells;
    struct recog_seats *seats;
    float *logits;                   /* [batch_logits, n_vocab] */
    struct whisper_row *model_rows;  /* [batch_rows] */
    struct recog_filter *filters;    /* [batch_rows] */
    struct recog_block *blocks;      /* [batch_rows][recog_filter_blocks(n_vocab)] */
    struct recog_row **recog_rows;   /* [batch_rows] */
    const float **mels;              /* [max_windows] */
    struct whisper_window **windows; /* [max_windows] */
};

/* A model's own mel window: frames of input per window (3000 for every published model). */
size_t recog_engine_window_frames(const struct auricle_engine *engine);

/* Log-mel of a window that is not part of a longer measured recording, as decoding hears it:
 * normalised by its own maximum, zeros behind its end.
 *   n    samples; those past the window are ignored
 *   mel  [window_frames, n_mels]
 * Returns how many frames hold audio. Thread: any. Allocates: never.                             */
size_t recog_engine_window_mel(const struct auricle_engine *engine, const float *samples, size_t n,
                               float *mel);

#endif
