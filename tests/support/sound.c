/* Sound fixtures at their own rate, read with libsndfile itself: what the program's own decoder
 * makes of files is a test of its own.                                                           */
#include <sndfile.h>

#include "support/support.h"

float *au_test_sound(const char *path, size_t *n_out)
{
    SF_INFO info = {0};
    SNDFILE *file = sf_open(path, SFM_READ, &info);
    if (!file)
        fail_msg("%s: %s", path, sf_strerror(NULL));
    assert_int_equal(info.channels, 1);
    float *samples = au_alloc_array((size_t)info.frames + 1, sizeof *samples);
    assert_non_null(samples);
    *n_out = (size_t)sf_readf_float(file, samples, info.frames);
    assert_int_equal(*n_out, info.frames);
    sf_close(file);
    return samples;
}
