/* Confined decoding: the same samples as in process, limits, and processes that misbehave.
 *
 * The workers of these pools are this program again (main below), with a hook that misbehaves where
 * a recording's name asks for it. Reading waits for notifications, never for a time.             */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"
#include "service/media/media.h"
#include "service/media/worker.h"
#include "support/support.h"
#include "support/wav.h"

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* ---- Misbehaviour ---------------------------------------------------------------------------- */

static void allocate_for_ever(void)
{
    for (size_t n = 0;; n++) {
        volatile char *block = malloc(1 << 20);
        if (!block)
            abort();
        for (size_t i = 0; i < 1 << 20; i += 4096)
            block[i] = (char)n;
    }
}

static void compute_for_ever(void)
{
    for (volatile unsigned n = 0;; n++)
        continue;
}

static void write_to_another_descriptor(void)
{
    (void)!write(STDERR_FILENO, "x", 1);
    (void)!syscall(SYS_write, 4, "x", 1);
}

static void make_memory_executable(void)
{
    (void)mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* In the locked worker. Whoever returns from an attempt was not stopped: the decoding then goes
 * well, which fails the test.                                                                    */
static void misbehave(const char *name)
{
    if (au_str_equal(name, "open"))
        (void)open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    else if (au_str_equal(name, "stat"))
        (void)access("/etc/passwd", R_OK);
    else if (au_str_equal(name, "socket"))
        (void)socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    else if (au_str_equal(name, "fork"))
        (void)fork();
    else if (au_str_equal(name, "exec"))
        (void)execl("/bin/true", "true", (char *)NULL);
    else if (au_str_equal(name, "kill"))
        (void)kill(getppid(), SIGTERM);
    else if (au_str_equal(name, "write"))
        write_to_another_descriptor();
    else if (au_str_equal(name, "execute"))
        make_memory_executable();
    else if (au_str_equal(name, "limits"))
        (void)syscall(SYS_prlimit64, 0, 0, NULL, NULL);
    else if (au_str_equal(name, "allocate"))
        allocate_for_ever();
    else if (au_str_equal(name, "loop"))
        compute_for_ever();
    else if (au_str_equal(name, "crash"))
        __builtin_trap();
    else if (au_str_equal(name, "exit"))
        _exit(7);
}

/* ---- Waiting for a decoding ------------------------------------------------------------------ */

struct listener {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned n_calls;
};

static void on_change(void *context)
{
    struct listener *listener = context;
    pthread_mutex_lock(&listener->lock);
    listener->n_calls++;
    pthread_cond_broadcast(&listener->changed);
    pthread_mutex_unlock(&listener->lock);
}

static void listen_begin(struct listener *listener)
{
    pthread_mutex_init(&listener->lock, NULL);
    pthread_cond_init(&listener->changed, NULL);
    listener->n_calls = 0;
}

/* Until more calls came than were `seen`. */
static unsigned listen_until(struct listener *listener, unsigned seen)
{
    pthread_mutex_lock(&listener->lock);
    while (listener->n_calls == seen)
        pthread_cond_wait(&listener->changed, &listener->lock);
    seen = listener->n_calls;
    pthread_mutex_unlock(&listener->lock);
    return seen;
}

struct job {
    struct listener listener;
    struct service_decode *decode;
    unsigned seen;
};

static void job_start(struct job *job, struct service_media *media, int fd, const char *name,
                      const struct audio_decode_options *options)
{
    struct au_fault fault = {0};
    job->seen = 0;
    listen_begin(&job->listener);
    au_test_ok(service_media_start(media, fd, name, options, on_change, &job->listener,
                                   &job->decode, &fault),
               &fault);
}

/* As service_decode_read, waiting while there is nothing yet. */
static enum auricle_error job_read(struct job *job, int64_t first, size_t n, float *out,
                                   size_t *n_read, struct au_fault *fault)
{
    for (;;) {
        enum auricle_error error = service_decode_read(job->decode, first, n, out, n_read, fault);
        if (error != AURICLE_E_AGAIN)
            return error;
        job->seen = listen_until(&job->listener, job->seen);
    }
}

static void job_end(struct job *job)
{
    service_decode_release(job->decode);
    pthread_cond_destroy(&job->listener.changed);
    pthread_mutex_destroy(&job->listener.lock);
}

struct sound {
    float *samples;
    size_t n;
    enum auricle_error error;
    struct au_fault fault;
    char warning[512];
};

/* Everything, piece by piece, and the job is over. */
static struct sound job_finish(struct job *job)
{
    enum { PIECE = 10007 };
    struct sound sound = {0};
    size_t n = 1;
    while (n > 0 && !sound.error) {
        sound.samples = au_realloc(sound.samples, (sound.n + PIECE) * sizeof(float));
        assert_non_null(sound.samples);
        n = 0;
        sound.error = job_read(job, (int64_t)sound.n, PIECE, sound.samples + sound.n, &n,
                               &sound.fault);
        sound.n += n;
    }
    const char *warning = service_decode_warning(job->decode);
    au_str_copy(sound.warning, sizeof sound.warning, warning ? warning : "");
    int64_t length = service_decode_length(job->decode);
    assert_int_equal(length, sound.error ? -1 : (int64_t)sound.n);
    job_end(job);
    return sound;
}

static struct sound decode_fd(struct service_media *media, int fd, const char *name,
                              const struct audio_decode_options *options)
{
    struct job job;
    job_start(&job, media, fd, name, options);
    return job_finish(&job);
}

static struct sound decode_here(const char *path, const struct audio_decode_options *options)
{
    struct sound sound = {0};
    struct audio_reader *reader;
    sound.error = audio_open_path(path, options, &reader, &sound.fault);
    if (sound.error)
        return sound;
    sound.error = audio_read_all(reader, &sound.samples, &sound.n, &sound.fault);
    if (audio_warning(reader))
        au_str_copy(sound.warning, sizeof sound.warning, audio_warning(reader));
    audio_close(reader);
    return sound;
}

/* ---- Recordings ------------------------------------------------------------------------------ */

/* A WAV of noise in a file that is open and has no name. */
static int noise_fd(double seconds)
{
    size_t n = (size_t)(seconds * AUDIO_RATE_HZ), bytes;
    int16_t *samples = au_alloc(n * sizeof *samples);
    unsigned state = 1;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        samples[i] = (int16_t)(state >> 18);
    }
    uint8_t *file = au_test_wav_s16(samples, n, 1, AUDIO_RATE_HZ, &bytes);
    int fd = memfd_create("noise", MFD_CLOEXEC);
    assert_int_equal(write(fd, file, bytes), (ssize_t)bytes);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    au_free(samples);
    au_free(file);
    return fd;
}

static struct service_media *new_pool(const struct service_media_config *config)
{
    struct service_media *media = NULL;
    struct au_fault fault = {0};
    au_test_ok(service_media_create(config, &media, &fault), &fault);
    return media;
}

static void sound_free(struct sound *sound)
{
    au_free(sound->samples);
    *sound = (struct sound){0};
}

/* The pool serves as if nothing had been. */
static void must_still_work(struct service_media *media)
{
    struct sound sound = decode_fd(media, noise_fd(1), "after", NULL);
    au_test_ok(sound.error, &sound.fault);
    assert_int_equal(sound.n, AUDIO_RATE_HZ);
    sound_free(&sound);
}

static void must_fail(struct sound *sound, enum auricle_error code, const char *words)
{
    if (sound->error != code || !strstr(sound->fault.text, words))
        fail_msg("expected %d with \"%s\", got %d: %s", code, words, sound->error,
                 sound->fault.text);
    sound_free(sound);
}

static size_t count_descriptors(void)
{
    size_t n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* ---- The same samples ------------------------------------------------------------------------ */

static void compare(const char *path, struct sound there)
{
    struct sound here = decode_here(path, NULL);
    if (here.error != there.error || strcmp(here.fault.text, there.fault.text) != 0)
        fail_msg("%s: %d (%s) in process, %d (%s) in the pool", path, here.error, here.fault.text,
                 there.error, there.fault.text);
    assert_string_equal(there.warning, here.warning);
    if (!here.error) {
        assert_int_equal(there.n, here.n);
        assert_memory_equal(there.samples, here.samples, here.n * sizeof(float));
    }
    sound_free(&here);
    sound_free(&there);
}

static const char *const fixtures[] = {
    "bad_data_size_too_big.wav",
    "bad_data_size_too_small.wav",
    "bad_data_size_zero.wav",
    "bad_header_4gb.wav",
    "bad_header_only.wav",
    "bad_nan_inf_f32.wav",
    "bad_odd_bytes.wav",
    "bad_random_bytes.wav",
    "bad_text.mp3",
    "bad_truncated.flac",
    "bad_truncated.mp3",
    "bad_truncated.webm",
    "bad_truncated_no_moov.m4a",
    "bad_wav_named.mp3",
    "bad_zero_channels.wav",
    "bad_zero_length.wav",
    "bad_zero_rate.wav",
    "clip.aiff",
    "clip.amr",
    "clip.caf",
    "clip.flac",
    "clip.mka",
    "clip.mp3",
    "clip_44k_stereo.mp3",
    "clip_48k.au",
    "clip_50ms.wav",
    "clip_aac.aac",
    "clip_aac.m4a",
    "clip_aac_moov_at_end.m4a",
    "clip_adpcm_ima.wav",
    "clip_alac.caf",
    "clip_alaw_8k.wav",
    "clip_dtx.amr",
    "clip_extensible_oddchunk.wav",
    "clip_f32.wav",
    "clip_g722.wav",
    "clip_mulaw_8k.wav",
    "clip_opus.ogg",
    "clip_opus.webm",
    "clip_opus_live.webm",
    "clip_s16.wav",
    "clip_s24.wav",
    "clip_s32.wav",
    "clip_speex.ogg",
    "clip_stereo_44k.flac",
    "clip_u8.wav",
    "clip_vbr.mp3",
    "clip_video.mp4",
    "clip_vorbis.ogg",
    "clip_wma.wma",
    "hotwords.mp3",
    "jfk.flac",
    "stereo_diarization.wav",
};

static void every_fixture_decodes_as_in_process(void **state)
{
    (void)state;
    au_free(au_test_fixture("audio/clip_s16.wav"));
    struct service_media *media = new_pool(NULL);
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        char name[64];
        snprintf(name, sizeof name, "audio/%s", fixtures[i]);
        char *path = au_test_fixture(name);
        compare(path, decode_fd(media, open(path, O_RDONLY | O_CLOEXEC), path, NULL));
        au_free(path);
    }
    service_media_destroy(media);
}

struct pipe_writer {
    pthread_t thread;
    const char *path;
    int fd;
};

/* In small pieces: a decoder sees a recording that is still arriving. */
static void *write_pipe(void *context)
{
    const struct pipe_writer *writer = context;
    size_t bytes;
    char *file = au_test_read(writer->path, &bytes);
    for (size_t at = 0; at < bytes;) {
        ssize_t n = write(writer->fd, file + at, bytes - at < 3001 ? bytes - at : 3001);
        if (n <= 0) /* the decoder has refused it */
            break;
        at += (size_t)n;
    }
    close(writer->fd);
    au_free(file);
    return NULL;
}

static void every_fixture_decodes_through_a_pipe_as_from_a_file(void **state)
{
    (void)state;
    au_free(au_test_fixture("audio/clip_s16.wav"));
    signal(SIGPIPE, SIG_IGN);
    struct service_media *media = new_pool(NULL);
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) {
        char name[64];
        int ends[2];
        snprintf(name, sizeof name, "audio/%s", fixtures[i]);
        char *path = au_test_fixture(name);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        struct pipe_writer writer = {.path = path, .fd = ends[1]};
        assert_int_equal(pthread_create(&writer.thread, NULL, write_pipe, &writer), 0);
        compare(path, decode_fd(media, ends[0], path, NULL));
        pthread_join(writer.thread, NULL);
        au_free(path);
    }
    service_media_destroy(media);
}

static void a_file_is_decoded_from_its_position(void **state)
{
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct audio_decode_options raw = {
        .raw = AUDIO_RAW_S16LE, .raw_rate_hz = AUDIO_RATE_HZ, .raw_channels = 1};
    int fd = noise_fd(1);
    assert_int_equal(lseek(fd, AU_TEST_WAV_HEADER_BYTES, SEEK_SET), AU_TEST_WAV_HEADER_BYTES);
    struct sound rest = decode_fd(media, dup(fd), "rest", &raw);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct sound whole = decode_fd(media, fd, "whole", NULL);
    assert_int_equal(whole.n, rest.n);
    assert_memory_equal(whole.samples, rest.samples, rest.n * sizeof(float));
    sound_free(&rest);
    sound_free(&whole);
    service_media_destroy(media);
}

static void what_was_found_is_told(void **state)
{
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct job job;
    struct audio_info info;
    float sample;
    size_t n;
    job_start(&job, media, noise_fd(2), "noise", NULL);
    assert_int_equal(job_read(&job, 31999, 1, &sample, &n, NULL), AURICLE_OK);
    service_decode_info(job.decode, &info);
    assert_string_equal(info.decoder, "libsndfile");
    assert_int_equal(info.rate_hz, AUDIO_RATE_HZ);
    assert_int_equal(info.channels, 1);
    assert_true(info.seconds == 2.0);
    assert_null(info.fallback);
    job_end(&job);
    service_media_destroy(media);
}

/* ---- Time ------------------------------------------------------------------------------------ */

static void write_all(int fd, const uint8_t *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        assert_true(done > 0);
        bytes += done;
        n -= (size_t)done;
    }
}

/* What a browser sends is heard while it speaks: the first half of the bytes gives most of the
 * first half of the samples although the pipe stays open.                                        */
static void a_live_recording_is_decoded_as_it_arrives(void **state)
{
    static const char *const names[] = {"audio/clip_opus_live.webm", "audio/clip_opus.ogg",
                                        "audio/clip_vorbis.ogg"};
    (void)state;
    struct service_media *media = new_pool(NULL);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int ends[2];
        size_t bytes, n, half = 3 * AUDIO_RATE_HZ;
        char *path = au_test_fixture(names[i]);
        char *file = au_test_read(path, &bytes);
        float *early = au_alloc(half * sizeof *early);
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        struct job job;
        job_start(&job, media, ends[0], "live", NULL);
        write_all(ends[1], (const uint8_t *)file, bytes / 2);
        assert_int_equal(job_read(&job, 0, half, early, &n, NULL), AURICLE_OK);
        assert_int_equal(n, half);
        assert_int_equal(service_decode_length(job.decode), -1);
        write_all(ends[1], (const uint8_t *)file + bytes / 2, bytes - bytes / 2);
        close(ends[1]);
        struct sound sound = job_finish(&job);
        au_test_ok(sound.error, &sound.fault);
        assert_memory_equal(sound.samples, early, half * sizeof *early);
        assert_in_range(sound.n, 9 * AUDIO_RATE_HZ, 11 * AUDIO_RATE_HZ);
        sound_free(&sound);
        au_free(early);
        au_free(file);
        au_free(path);
    }
    service_media_destroy(media);
}

/* Raw samples need no more than themselves to be heard. */
static void raw_samples_come_out_at_once(void **state)
{
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct audio_decode_options raw = {
        .raw = AUDIO_RAW_S16LE, .raw_rate_hz = AUDIO_RATE_HZ, .raw_channels = 1};
    int ends[2];
    int16_t samples[320] = {1, 2, 3};
    float out[320];
    size_t n;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct job job;
    job_start(&job, media, ends[0], "microphone", &raw);
    for (int i = 0; i < 10; i++) {
        write_all(ends[1], (const uint8_t *)samples, sizeof samples);
        assert_int_equal(job_read(&job, i * 320, 320, out, &n, NULL), AURICLE_OK);
        assert_int_equal(n, 320);
    }
    close(ends[1]);
    struct sound sound = job_finish(&job);
    assert_int_equal(sound.n, 3200);
    sound_free(&sound);
    service_media_destroy(media);
}

/* A WAV whose header was written before its length was known, as programs write it into pipes. */
static void a_wav_is_heard_as_it_arrives(void **state)
{
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct au_test_wav header = {
        .format = 1, .channels = 2, .bits = 16, .rate_hz = AUDIO_RATE_HZ, .data_bytes = 0xffffffff};
    int16_t samples[640];
    float out[320];
    size_t n, bytes;
    int ends[2];
    for (size_t i = 0; i < 640; i++)
        samples[i] = (int16_t)(i * 50);
    uint8_t *file = au_test_wav_make(&header, samples, sizeof samples, &bytes);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct job job;
    job_start(&job, media, ends[0], "recorder", NULL);
    for (int i = 0; i < 10; i++) {
        if (i == 0)
            write_all(ends[1], file, bytes);
        else
            write_all(ends[1], (const uint8_t *)samples, sizeof samples);
        assert_int_equal(job_read(&job, i * 320, 320, out, &n, NULL), AURICLE_OK);
        assert_int_equal(n, 320);
        assert_true(out[1] == (100 + 150) / 2 / 32768.0f);
    }
    close(ends[1]);
    struct sound sound = job_finish(&job);
    au_test_ok(sound.error, &sound.fault);
    assert_int_equal(sound.n, 3200);
    assert_string_equal(sound.warning, "");
    sound_free(&sound);
    au_free(file);
    service_media_destroy(media);
}

/* A pipe is kept so that decoders may go back: beyond what memory is for, in a file that the worker
 * cannot make by itself.                                                                         */
static void long_pipes_are_kept_in_a_file(void **state)
{
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct audio_decode_options raw = {
        .raw = AUDIO_RAW_S16LE, .raw_rate_hz = 48000, .raw_channels = 2};
    int ends[2];
    static uint8_t block[1 << 20];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct job job;
    job_start(&job, media, ends[0], "pipe", &raw);
    for (int i = 0; i < 18; i++)
        write_all(ends[1], block, sizeof block);
    close(ends[1]);
    struct sound sound = job_finish(&job);
    au_test_ok(sound.error, &sound.fault);
    assert_int_equal(sound.n, 18 * sizeof block / 4 / 3);
    sound_free(&sound);
    service_media_destroy(media);
}

static void a_pipe_that_gives_nothing_times_out(void **state)
{
    (void)state;
    struct service_media_config config = {.max_wait_seconds = 0.2};
    struct service_media *media = new_pool(&config);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    struct sound sound = decode_fd(media, ends[0], "silent", NULL);
    must_fail(&sound, AURICLE_E_TIMEOUT, "silent: nothing more came");
    close(ends[1]);
    must_still_work(media);
    service_media_destroy(media);
}

static void a_decoder_that_gets_nowhere_times_out(void **state)
{
    (void)state;
    struct service_media_config config = {.max_wall_seconds = 0.3};
    struct service_media *media = new_pool(&config);
    struct sound sound = decode_fd(media, noise_fd(1), "loop", NULL);
    must_fail(&sound, AURICLE_E_TIMEOUT, "loop: the decoder was stopped: it got nowhere");
    must_still_work(media);
    service_media_destroy(media);
}

static void processor_time_is_limited(void **state)
{
    (void)state;
    struct service_media_config config = {.max_cpu_seconds = 0.1};
    struct service_media *media = new_pool(&config);
    struct sound sound = decode_fd(media, noise_fd(1), "loop", NULL);
    must_fail(&sound, AURICLE_E_LIMIT, "processor time");
    must_still_work(media);
    service_media_destroy(media);
}

/* ---- Many ------------------------------------------------------------------------------------ */

static void more_than_there_are_workers_take_their_turn(void **state)
{
    enum { N = 9 };
    (void)state;
    struct service_media_config config = {.max_workers = 2};
    struct service_media *media = new_pool(&config);
    struct job jobs[N];
    struct sound expected = decode_fd(media, noise_fd(3), "expected", NULL);
    for (size_t i = 0; i < N; i++)
        job_start(&jobs[i], media, noise_fd(3), "one of many", NULL);
    for (size_t i = N; i-- > 0;) {
        struct sound sound = job_finish(&jobs[i]);
        au_test_ok(sound.error, &sound.fault);
        assert_int_equal(sound.n, expected.n);
        assert_memory_equal(sound.samples, expected.samples, sound.n * sizeof(float));
        sound_free(&sound);
    }
    sound_free(&expected);
    service_media_destroy(media);
}

/* Pipes that wait for somebody to speak do not keep files from being decoded. */
static void open_pipes_do_not_stand_in_the_way_of_files(void **state)
{
    enum { N = 3 };
    (void)state;
    struct service_media_config config = {.max_workers = 1};
    struct service_media *media = new_pool(&config);
    struct audio_decode_options raw = {.raw = AUDIO_RAW_U8, .raw_rate_hz = 8000, .raw_channels = 1};
    struct job jobs[N];
    int ends[N][2];
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(pipe2(ends[i], O_CLOEXEC), 0);
        job_start(&jobs[i], media, ends[i][0], "pipe", &raw);
    }
    must_still_work(media);
    for (size_t i = 0; i < N; i++) {
        close(ends[i][1]);
        struct sound sound = job_finish(&jobs[i]);
        assert_int_equal(sound.n, 0);
        sound_free(&sound);
    }
    service_media_destroy(media);
}

static void a_higher_limit_lets_waiting_pipes_in(void **state)
{
    enum { N = 3 };
    (void)state;
    struct service_media_config config = {.max_pipes = 1};
    struct service_media *media = new_pool(&config);
    struct audio_decode_options raw = {.raw = AUDIO_RAW_U8, .raw_rate_hz = 8000, .raw_channels = 1};
    struct job jobs[N];
    int ends[N][2];
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(pipe2(ends[i], O_CLOEXEC), 0);
        job_start(&jobs[i], media, ends[i][0], "pipe", &raw);
    }
    service_media_set_limits(media, N, 0);
    for (size_t i = N; i-- > 0;) { /* the last one first: it would wait for the others */
        close(ends[i][1]);
        struct sound sound = job_finish(&jobs[i]);
        assert_int_equal(sound.n, 0);
        sound_free(&sound);
    }
    service_media_destroy(media);
}

static void what_is_released_is_stopped(void **state)
{
    (void)state;
    struct service_media_config config = {.max_workers = 1};
    struct service_media *media = new_pool(&config);
    struct job running, waiting;
    size_t before = count_descriptors();
    for (int i = 0; i < 5; i++) {
        job_start(&running, media, noise_fd(1), "loop", NULL);
        job_start(&waiting, media, noise_fd(1), "loop", NULL);
        job_end(i % 2 ? &running : &waiting);
        job_end(i % 2 ? &waiting : &running);
    }
    must_still_work(media);
    service_media_destroy(media);
    assert_true(count_descriptors() < before);
}

static void nothing_is_left_open(void **state)
{
    (void)state;
    size_t before = count_descriptors();
    struct service_media *media = new_pool(NULL);
    must_still_work(media);
    struct sound sound = decode_fd(media, noise_fd(1), "crash", NULL);
    sound_free(&sound);
    service_media_destroy(media);
    assert_int_equal(count_descriptors(), before);
}

/* ---- Hostility ------------------------------------------------------------------------------- */

static void a_decoder_that_misbehaves_is_stopped(void **state)
{
    static const char *const deeds[] = {"open", "stat",  "socket",  "fork",  "exec",
                                        "kill", "write", "execute", "limits"};
    (void)state;
    struct service_media *media = new_pool(NULL);
    for (size_t i = 0; i < sizeof deeds / sizeof *deeds; i++) {
        struct sound sound = decode_fd(media, noise_fd(1), deeds[i], NULL);
        must_fail(&sound, AURICLE_E_FORMAT, "made it ask the system for");
        must_still_work(media);
    }
    service_media_destroy(media);
}

static void a_decoder_that_crashes_harms_nobody_else(void **state)
{
    static const char *const deeds[] = {"crash", "exit"};
    (void)state;
    struct service_media_config config = {.max_workers = 3};
    struct service_media *media = new_pool(&config);
    for (size_t i = 0; i < 6; i++) {
        struct job bad, good;
        job_start(&good, media, noise_fd(20), "good", NULL);
        job_start(&bad, media, noise_fd(1), deeds[i % 2], NULL);
        struct sound sound = job_finish(&bad);
        must_fail(&sound, AURICLE_E_FORMAT, "the decoder was stopped");
        sound = job_finish(&good);
        au_test_ok(sound.error, &sound.fault);
        assert_int_equal(sound.n, 20 * AUDIO_RATE_HZ);
        sound_free(&sound);
    }
    service_media_destroy(media);
}

static void memory_is_limited(void **state)
{
    (void)state;
    if (SANITIZED) {
        print_message("skipped: a sanitizer reserves more addresses than the limit allows\n");
        skip();
    }
    struct service_media_config config = {.max_memory_bytes = 64 << 20};
    struct service_media *media = new_pool(&config);
    struct sound sound = decode_fd(media, noise_fd(1), "allocate", NULL);
    must_fail(&sound, AURICLE_E_FORMAT, "the decoder was stopped");
    must_still_work(media);
    service_media_destroy(media);
}

static void a_recording_that_is_too_long_ends_at_the_limit(void **state)
{
    (void)state;
    struct service_media_config config = {.max_seconds = 4};
    struct service_media *media = new_pool(&config);
    struct audio_decode_options two = {.max_seconds = 2}, ten = {.max_seconds = 10};
    struct sound sound = decode_fd(media, noise_fd(3), "asked", &two);
    must_fail(&sound, AURICLE_E_LIMIT, "at most 2.0 s");
    sound = decode_fd(media, noise_fd(5), "set", &ten);
    must_fail(&sound, AURICLE_E_LIMIT, "at most 4.0 s");
    sound = decode_fd(media, noise_fd(5), "unasked", NULL);
    must_fail(&sound, AURICLE_E_LIMIT, "at most 4.0 s");
    service_media_destroy(media);
}

/* Small files that decode to hours: one after the other in one Ogg, whose header says nothing. */
static void a_decode_bomb_ends_at_the_limit(void **state)
{
    (void)state;
    struct service_media_config config = {.max_seconds = 60};
    char *path = au_test_fixture("audio/clip_opus.ogg");
    size_t bytes;
    char *file = au_test_read(path, &bytes);
    int fd = memfd_create("bomb", MFD_CLOEXEC);
    for (int i = 0; i < 700; i++)
        write_all(fd, (const uint8_t *)file, bytes);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    struct service_media *media = new_pool(&config);
    struct sound sound = decode_fd(media, fd, "bomb", NULL);
    must_fail(&sound, AURICLE_E_LIMIT, "bomb: longer than the 60.0 s");
    must_still_work(media);
    service_media_destroy(media);
    au_free(file);
    au_free(path);
}

struct flood {
    pthread_t thread;
    int fd;
};

static void *pour(void *context)
{
    static const uint8_t zeros[1 << 16];
    const struct flood *flood = context;
    while (write(flood->fd, zeros, sizeof zeros) > 0)
        continue;
    close(flood->fd);
    return NULL;
}

static void a_pipe_without_end_ends_at_the_limit(void **state)
{
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct audio_decode_options raw = {.raw = AUDIO_RAW_U8,
                                       .raw_rate_hz = 768000,
                                       .raw_channels = 64,
                                       .max_input_bytes = 30 << 20};
    struct flood flood;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    flood.fd = ends[1];
    assert_int_equal(pthread_create(&flood.thread, NULL, pour, &flood), 0);
    struct sound sound = decode_fd(media, ends[0], "flood", &raw);
    must_fail(&sound, AURICLE_E_LIMIT, "larger than the limit");
    pthread_join(flood.thread, NULL);
    must_still_work(media);
    service_media_destroy(media);
}

/* Whoever reads in large pieces must not take what came before a failure for the whole. */
static void a_failure_never_passes_for_the_end(void **state)
{
    enum { ASKED = 60 * AUDIO_RATE_HZ };
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct audio_decode_options raw = {
        .raw = AUDIO_RAW_U8, .raw_rate_hz = AUDIO_RATE_HZ, .raw_channels = 1, .max_seconds = 20};
    float *samples = au_alloc_array(ASKED, sizeof *samples);
    struct au_fault fault = {0};
    struct flood flood;
    struct job job;
    size_t n = 0;
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    flood.fd = ends[1];
    assert_int_equal(pthread_create(&flood.thread, NULL, pour, &flood), 0);
    job_start(&job, media, ends[0], "flood", &raw);
    assert_int_equal(job_read(&job, 0, ASKED, samples, &n, &fault), AURICLE_E_LIMIT);
    int64_t there = service_decode_available(job.decode);
    assert_in_range(there, 1, ASKED - 1);
    au_test_ok(job_read(&job, 0, (size_t)there, samples, &n, &fault), &fault);
    assert_int_equal(n, there);
    job_end(&job);
    pthread_join(flood.thread, NULL);
    au_free(samples);
    service_media_destroy(media);
}

static void shapes_beyond_the_settings_are_refused(void **state)
{
    (void)state;
    struct service_media_config config = {.max_rate_hz = 48000, .max_channels = 2};
    struct service_media *media = new_pool(&config);
    struct audio_decode_options fast = {
        .raw = AUDIO_RAW_U8, .raw_rate_hz = 96000, .raw_channels = 1};
    struct audio_decode_options wide = {
        .raw = AUDIO_RAW_U8, .raw_rate_hz = 8000, .raw_channels = 3};
    struct sound sound = decode_fd(media, noise_fd(1), "fast", &fast);
    must_fail(&sound, AURICLE_E_LIMIT, "at most 48000");
    sound = decode_fd(media, noise_fd(1), "wide", &wide);
    must_fail(&sound, AURICLE_E_LIMIT, "at most 2 are");
    service_media_destroy(media);
}

/* ---- What files take ------------------------------------------------------------------------- */

struct purse {
    uint64_t most, taken, given;
};

static enum auricle_error take_bytes(void *context, uint64_t bytes, struct au_fault *fault)
{
    struct purse *purse = context; /* the pool's lock is held */
    if (bytes > purse->most - (purse->taken - purse->given))
        return au_fail(fault, AURICLE_E_AGAIN, "no room for %d bytes", (int)bytes);
    purse->taken += bytes;
    return AURICLE_OK;
}

static void give_bytes(void *context, uint64_t bytes)
{
    ((struct purse *)context)->given += bytes;
}

static void decoded_samples_are_counted_and_may_be_too_many(void **state)
{
    (void)state;
    struct purse purse = {.most = 5 * AUDIO_RATE_HZ * sizeof(float)};
    const struct service_media_config config = {
        .take_bytes = take_bytes, .give_bytes = give_bytes, .context = &purse};
    struct service_media *media = new_pool(&config);
    must_still_work(media); /* a second */
    assert_int_equal(purse.taken, AUDIO_RATE_HZ * sizeof(float));
    assert_int_equal(purse.given, purse.taken);
    struct sound sound = decode_fd(media, noise_fd(60), "long", NULL);
    must_fail(&sound, AURICLE_E_NO_SPACE, "no room for");
    assert_int_equal(purse.given, purse.taken);
    must_still_work(media);
    service_media_destroy(media);
}

/* ---- Creation -------------------------------------------------------------------------------- */

static void a_program_that_is_no_worker_is_said_to_be(void **state)
{
    static const char *const programs[] = {"/bin/true", "/nowhere/auricle"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct service_media_config config = {.program = programs[i]};
        struct service_media *media = NULL;
        struct au_fault fault = {0};
        assert_int_not_equal(service_media_create(&config, &media, &fault), AURICLE_OK);
        assert_null(media);
        assert_non_null(strstr(fault.text, "decoder process"));
    }
}

static void creation_and_start_survive_a_lack_of_memory(void **state)
{
    (void)state;
    struct service_media *media = NULL;
    enum auricle_error error = AURICLE_E_NOMEM;
    for (uint64_t n = 0; error; n++) {
        struct au_fault fault = {0};
        struct service_media_config config = {.spool_folder = "/tmp"};
        au_mem_fail_at(n, false);
        error = service_media_create(&config, &media, &fault);
        au_mem_fail_never();
        assert_true(error == AURICLE_OK || error == AURICLE_E_NOMEM);
    }
    struct service_decode *decode = NULL;
    int fd = noise_fd(1);
    au_mem_fail_at(0, false);
    error = service_media_start(media, fd, "n", NULL, NULL, NULL, &decode, NULL);
    au_mem_fail_never();
    assert_int_equal(error, AURICLE_E_NOMEM);
    assert_null(decode);
    must_still_work(media);
    service_media_destroy(media);
}

static void folders_and_bad_descriptors_are_refused(void **state)
{
    (void)state;
    struct service_media *media = new_pool(NULL);
    struct service_decode *decode = NULL;
    struct au_fault fault = {0};
    int folder = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(service_media_start(media, folder, "f", NULL, NULL, NULL, &decode, &fault),
                     AURICLE_E_IO);
    assert_non_null(strstr(fault.text, "directory"));
    assert_int_equal(service_media_start(media, 250, "f", NULL, NULL, NULL, &decode, &fault),
                     AURICLE_E_IO);
    assert_null(decode);
    service_media_destroy(media);
}

int main(int argc, char **argv)
{
    if (argc == 2 && au_str_equal(argv[1], MEDIA_WORKER_WORD))
        return service_worker_main(misbehave);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fixture_decodes_as_in_process),
        cmocka_unit_test(every_fixture_decodes_through_a_pipe_as_from_a_file),
        cmocka_unit_test(a_file_is_decoded_from_its_position),
        cmocka_unit_test(what_was_found_is_told),
        cmocka_unit_test(a_live_recording_is_decoded_as_it_arrives),
        cmocka_unit_test(raw_samples_come_out_at_once),
        cmocka_unit_test(a_wav_is_heard_as_it_arrives),
        cmocka_unit_test(long_pipes_are_kept_in_a_file),
        cmocka_unit_test(a_pipe_that_gives_nothing_times_out),
        cmocka_unit_test(a_decoder_that_gets_nowhere_times_out),
        cmocka_unit_test(processor_time_is_limited),
        cmocka_unit_test(more_than_there_are_workers_take_their_turn),
        cmocka_unit_test(open_pipes_do_not_stand_in_the_way_of_files),
        cmocka_unit_test(a_higher_limit_lets_waiting_pipes_in),
        cmocka_unit_test(what_is_released_is_stopped),
        cmocka_unit_test(nothing_is_left_open),
        cmocka_unit_test(a_decoder_that_misbehaves_is_stopped),
        cmocka_unit_test(a_decoder_that_crashes_harms_nobody_else),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(a_recording_that_is_too_long_ends_at_the_limit),
        cmocka_unit_test(a_decode_bomb_ends_at_the_limit),
        cmocka_unit_test(a_pipe_without_end_ends_at_the_limit),
        cmocka_unit_test(a_failure_never_passes_for_the_end),
        cmocka_unit_test(shapes_beyond_the_settings_are_refused),
        cmocka_unit_test(decoded_samples_are_counted_and_may_be_too_many),
        cmocka_unit_test(a_program_that_is_no_worker_is_said_to_be),
        cmocka_unit_test(creation_and_start_survive_a_lack_of_memory),
        cmocka_unit_test(folders_and_bad_descriptors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
