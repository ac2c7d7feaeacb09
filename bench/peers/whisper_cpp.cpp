// Times libwhisper on a recording from end to end: timer MODEL THREADS AUDIO.wav TOKENS
//
// Greedy at temperature 0 without a second attempt, without timestamps or context, so that every
// window of 30 s takes exactly TOKENS tokens: the end of the text is forbidden, and the limit ends it.
#include <cmath>

#include <whisper.h>

#include "timer.hpp"

static void forbid_end(whisper_context *context, whisper_state *, const whisper_token_data *, int,
                       float *logits, void *)
{
    logits[whisper_token_eot(context)] = -INFINITY;
}

static bool count_window(whisper_context *, whisper_state *, void *count)
{
    ++*static_cast<int *>(count);
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return std::fprintf(stderr, "usage: %s MODEL THREADS AUDIO.wav TOKENS\n", argv[0]), 2;
    whisper_log_set([](ggml_log_level, const char *, void *) {}, nullptr);
    const double begin = now_ms();
    whisper_context_params how = whisper_context_default_params();
    how.use_gpu = false;
    how.flash_attn = true;
    whisper_context *context = whisper_init_from_file_with_params(argv[1], how);
    if (!context)
        return std::fprintf(stderr, "%s: not loaded\n", argv[1]), 1;
    const double loaded = now_ms();

    int windows = 0, tokens = 0;
    whisper_full_params p = whisper_full_default_params(WHISPER_SAMPLING_GREEDY);
    p.n_threads = std::atoi(argv[2]);
    p.greedy.best_of = 1;
    p.temperature = 0.0F;
    p.temperature_inc = 0.0F;
    p.no_speech_thold = 2.0F;
    p.language = "en";
    p.no_context = true;
    p.no_timestamps = true;
    p.max_tokens = std::atoi(argv[4]) - 1; // its limit lets one more pass
    p.print_progress = p.print_realtime = p.print_timestamps = false;
    p.logits_filter_callback = forbid_end;
    p.encoder_begin_callback = count_window;
    p.encoder_begin_callback_user_data = &windows;
    const std::vector<float> samples = read_wav(argv[3]);
    if (whisper_full(context, p, samples.data(), int(samples.size())) != 0)
        return std::fprintf(stderr, "%s: not transcribed\n", argv[3]), 1;
    for (int i = 0; i < whisper_full_n_segments(context); i++)
        tokens += whisper_full_n_tokens(context, i);
    print_result(loaded - begin, now_ms() - loaded, windows, tokens);
    whisper_free(context);
    return 0;
}
