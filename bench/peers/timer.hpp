// What every timer of another engine needs: the clock, the recording, the result as one line.
#pragma once
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

inline double now_ms()
{
    using namespace std::chrono;
    return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

// Samples of a WAV file of 16 kHz, one channel, 16 bits, with the plain header of 44 bytes.
inline std::vector<float> read_wav(const char *path)
{
    std::ifstream file(path, std::ios::binary);
    std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    uint32_t rate = 0, format = 0;
    if (bytes.size() >= 44) {
        std::memcpy(&format, bytes.data() + 20, 4);
        std::memcpy(&rate, bytes.data() + 24, 4);
    }
    if (format != 0x00010001 || rate != 16000) {
        std::fprintf(stderr, "%s: not a WAV file of 16 kHz, one channel, 16 bits\n", path);
        std::exit(1);
    }
    std::vector<float> samples((bytes.size() - 44) / 2);
    for (size_t i = 0; i < samples.size(); i++) {
        int16_t sample;
        std::memcpy(&sample, bytes.data() + 44 + 2 * i, 2);
        samples[i] = float(sample) / 32768.0F;
    }
    return samples;
}

inline void print_result(double load_ms, double work_ms, int windows, int tokens)
{
    std::printf("{\"load\": %.3f, \"work\": %.3f, \"windows\": %d, \"tokens\": %d}\n", load_ms,
                work_ms, windows, tokens);
}
