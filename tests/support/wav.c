/* WAV files made in memory. See wav.h. */
#include "support/wav.h"

#include "support/support.h"

static void put(uint8_t *out, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> 8 * i);
}

uint8_t *au_test_wav_make(const struct au_test_wav *header, const void *data, size_t n,
                          size_t *out_bytes)
{
    uint8_t *file = au_alloc(AU_TEST_WAV_HEADER_BYTES + n);
    assert_non_null(file);
    uint32_t frame_bytes = (uint32_t)header->channels * header->bits / 8;
    memcpy(file, "RIFF....WAVEfmt ", 16);
    put(file + 4, header->data_bytes + 36, 4);
    put(file + 16, 16, 4);
    put(file + 20, header->format, 2);
    put(file + 22, header->channels, 2);
    put(file + 24, header->rate_hz, 4);
    put(file + 28, header->rate_hz * frame_bytes, 4);
    put(file + 32, frame_bytes, 2);
    put(file + 34, header->bits, 2);
    memcpy(file + 36, "data", 4);
    put(file + 40, header->data_bytes, 4);
    if (n > 0)
        memcpy(file + AU_TEST_WAV_HEADER_BYTES, data, n);
    *out_bytes = AU_TEST_WAV_HEADER_BYTES + n;
    return file;
}

uint8_t *au_test_wav_s16(const int16_t *samples, size_t n, int channels, int rate_hz,
                         size_t *out_bytes)
{
    struct au_test_wav header = {.format = 1,
                                 .channels = (uint16_t)channels,
                                 .bits = 16,
                                 .rate_hz = (uint32_t)rate_hz,
                                 .data_bytes = (uint32_t)(n * 2)};
    return au_test_wav_make(&header, samples, n * 2, out_bytes);
}
