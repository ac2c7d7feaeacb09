// Times CTranslate2's Whisper on a recording from end to end:
// timer MODEL-FOLDER THREADS AUDIO.wav TOKENS BATCH COMPUTE-TYPE
//
// Greedy, without timestamps; windows of 30 s, BATCH of them at once. The end of the text is
// forbidden and the limit ends it, so that every window takes exactly TOKENS tokens. The library has
// no log-mel of its own (its users compute it in numpy): noise stands in, and its time is not
// counted, which favours it by some 6 ms a window.
#include <random>

#include <ctranslate2/models/whisper.h>

#include "timer.hpp"

enum { END = 50257, ENGLISH = 50259, WINDOW_SAMPLES = 480000, FRAMES = 3000 };

static ctranslate2::StorageView noise(int n, int n_mels)
{
    std::mt19937 random(1);
    std::uniform_real_distribution<float> level(-1.0F, 1.0F);
    std::vector<float> values(size_t(n) * size_t(n_mels) * FRAMES);
    for (float &value : values)
        value = level(random);
    return {ctranslate2::Shape{n, n_mels, FRAMES}, values};
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return std::fprintf(stderr, "usage: %s FOLDER THREADS AUDIO.wav TOKENS BATCH TYPE\n",
                            argv[0]), 2;
    const double begin = now_ms();
    ctranslate2::ReplicaPoolConfig threads;
    threads.num_threads_per_replica = size_t(std::atoi(argv[2]));
    ctranslate2::models::Whisper model(argv[1], ctranslate2::Device::CPU,
                                       ctranslate2::str_to_compute_type(argv[6]), {0}, false,
                                       threads);
    const double loaded = now_ms();

    const size_t samples = read_wav(argv[3]).size();
    const int n_windows = int((samples + WINDOW_SAMPLES - 1) / WINDOW_SAMPLES);
    const int limit = std::atoi(argv[4]), batch = std::atoi(argv[5]);
    const bool newest = model.num_languages() > 99; // one language more moves what follows
    const std::vector<size_t> prompt = {END + 1, ENGLISH, size_t(newest ? 50360 : 50359),
                                        size_t(newest ? 50364 : 50363)};
    ctranslate2::models::WhisperOptions how;
    how.beam_size = 1;
    how.max_length = size_t(2 * limit); // half of it is what a window may take
    how.suppress_tokens = {END};
    double made_ms = 0.0;
    int tokens = 0;
    for (int at = 0; at < n_windows; at += batch) {
        const int n = n_windows - at < batch ? n_windows - at : batch;
        const double before = now_ms();
        const ctranslate2::StorageView mel = noise(n, int(model.n_mels()));
        made_ms += now_ms() - before;
        auto results = model.generate(mel, std::vector<std::vector<size_t>>(size_t(n), prompt), how);
        for (auto &result : results)
            tokens += int(result.get().sequences_ids[0].size());
    }
    print_result(loaded - begin, now_ms() - loaded - made_ms, n_windows, tokens);
    return 0;
}
