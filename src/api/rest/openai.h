/* OpenAI's front door: /v1/audio/transcriptions and /v1/audio/translations. */
#ifndef REST_OPENAI_H
#define REST_OPENAI_H

#include "api/rest/job.h"

enum openai_format {
    OPENAI_JSON,
    OPENAI_TEXT,
    OPENAI_SRT,
    OPENAI_VERBOSE_JSON,
    OPENAI_VTT,
    OPENAI_N_FORMATS
};

struct openai_params {
    const char *model, *language, *prompt, *response_format;
    struct rest_list languages, keywords, include, granularities, speakers, references;
    double temperature;
    bool stream;
    const char *chunking, *chunking_type;
    double prefix_padding_ms, silence_duration_ms, threshold; /* negative: not given */
    /* Not OpenAI's. */
    int profile, beam_size, best_of;
    const char *hotwords;
    bool vad_filter;
    /* Made of the above. */
    int format; /* enum openai_format */
    bool word_times, segment_times, logprobs;
};

extern const struct rest_door openai_transcriptions, openai_translations;

/* Writers, in openai_answer.c. */
const char *openai_write(const struct rest_job *job, const struct service_outcome *outcome,
                         struct au_buf *out);
void openai_write_segment(struct rest_job *job, const struct auricle_segment *segment,
                          struct au_buf *out);
void openai_write_end(const struct rest_job *job, const struct service_outcome *outcome,
                      struct au_buf *out);

#endif
