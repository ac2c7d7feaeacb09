/* WAV files made in memory, honest and otherwise. */
#ifndef AURICLE_TESTS_WAV_H
#define AURICLE_TESTS_WAV_H

#include <stddef.h>
#include <stdint.h>

/* What the header says; data_bytes is its claim, independent of what follows. */
struct au_test_wav {
    uint16_t format; /* 1 PCM, 3 float, 6 A-law, 7 mu-law */
    uint16_t channels, bits;
    uint32_t rate_hz;
    uint32_t data_bytes;
};

#define AU_TEST_WAV_HEADER_BYTES 44

/* A header and n bytes of samples in a new block (au_free). */
uint8_t *au_test_wav_make(const struct au_test_wav *header, const void *data, size_t n,
                          size_t *out_bytes);
/* An honest file of n s16 samples, all channels together. */
uint8_t *au_test_wav_s16(const int16_t *samples, size_t n, int channels, int rate_hz,
                         size_t *out_bytes);

#endif
