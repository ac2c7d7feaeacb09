/* Sample-rate conversion. See resample.h. The only file that includes soxr. */
#include "audio/resample.h"

#include <soxr.h>

#include "base/mem.h"

struct audio_resampler {
    soxr_t soxr;
    bool flushing; /* the end was announced: soxr must be called with NULL from then on */
};

enum auricle_error audio_resampler_create(int from_hz, int to_hz, bool finest,
                                          struct audio_resampler **out)
{
    if (from_hz <= 0 || to_hz <= 0)
        return AURICLE_E_INVALID;
    struct audio_resampler *resampler = au_calloc(1, sizeof *resampler);
    if (!resampler)
        return AURICLE_E_NOMEM;
    soxr_io_spec_t io = soxr_io_spec(SOXR_FLOAT32_I, SOXR_FLOAT32_I);
    soxr_quality_spec_t quality = soxr_quality_spec(finest ? SOXR_VHQ : SOXR_HQ, 0);
    soxr_runtime_spec_t runtime = soxr_runtime_spec(1);
    soxr_error_t error = NULL;
    resampler->soxr = soxr_create(from_hz, to_hz, 1, &error, &io, &quality, &runtime);
    if (!resampler->soxr || error) {
        audio_resampler_destroy(resampler);
        return AURICLE_E_NOMEM;
    }
    *out = resampler;
    return AURICLE_OK;
}

void audio_resampler_destroy(struct audio_resampler *resampler)
{
    if (!resampler)
        return;
    if (resampler->soxr)
        soxr_delete(resampler->soxr);
    au_free(resampler);
}

enum auricle_error audio_resampler_run(struct audio_resampler *resampler, const float *in,
                                       size_t n_in, size_t *n_used, float *out, size_t max,
                                       size_t *n_out)
{
    size_t used = 0, written = 0;
    resampler->flushing |= in == NULL;
    soxr_error_t error = soxr_process(resampler->soxr, resampler->flushing ? NULL : in,
                                      resampler->flushing ? 0 : n_in, &used, out, max, &written);
    if (error)
        return AURICLE_E_NOMEM;
    *n_used = used;
    *n_out = written;
    return AURICLE_OK;
}
