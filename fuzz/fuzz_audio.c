/* Recordings: what opens is decoded to its end or to the limit, and every sample is a sane
 * number. */
#include "audio/decode.h"
#include "fuzz.h"

#define BLOCK 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static float block[BLOCK];
    const struct audio_decode_options options = {.max_seconds = 60, .max_decode_seconds = 5};
    struct audio_reader *reader;
    struct au_fault fault = {0};
    if (audio_open_memory(data, size, "input", &options, &reader, &fault)) {
        FUZZ_CHECK(fault.text[0]);
        return 0;
    }
    size_t n = 0, total = 0;
    do {
        if (audio_read(reader, block, BLOCK, &n, &fault)) {
            FUZZ_CHECK(fault.text[0]);
            break;
        }
        FUZZ_CHECK(n <= BLOCK);
        for (size_t i = 0; i < n; i++)
            FUZZ_CHECK(block[i] >= -8 && block[i] <= 8);
        total += n;
        FUZZ_CHECK(total <= (size_t)61 * AUDIO_RATE_HZ);
    } while (n > 0);
    audio_close(reader);
    return 0;
}
