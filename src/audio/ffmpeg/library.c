/* Loading of FFmpeg's libraries. See library.h. */
#include "audio/ffmpeg/library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "audio/decode.h"

#define SONAME(library, major)          SONAME_EXPANDED(library, major)
#define SONAME_EXPANDED(library, major) "lib" #library ".so." #major
#define SONAME_avutil                   SONAME(avutil, LIBAVUTIL_VERSION_MAJOR)
#define SONAME_avcodec                  SONAME(avcodec, LIBAVCODEC_VERSION_MAJOR)
#define SONAME_avformat                 SONAME(avformat, LIBAVFORMAT_VERSION_MAJOR)

/* No packet or buffer of a recording needs more; a forged size that asks for more is refused. */
#define MAX_BLOCK_BYTES ((size_t)256 << 20)

/* Written once by load(), under pthread_once; constant afterwards. The libraries stay loaded. */
static struct {
    struct ffmpeg functions;
    char problem[256]; /* why they are not to be had, or "" */
} loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *open_library(const char *soname)
{
    if (loaded.problem[0])
        return NULL;
    void *library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
    if (!library)
        snprintf(loaded.problem, sizeof loaded.problem, "%s", dlerror());
    return library;
}

/* Copies the address bit by bit: ISO C has no cast from object to function pointers. */
static void find_function(void *library, const char *name, void *pointer)
{
    if (loaded.problem[0])
        return;
    void *address = dlsym(library, name);
    if (!address)
        snprintf(loaded.problem, sizeof loaded.problem, "no function %s", name);
    memcpy(pointer, &address, sizeof address);
}

static void load(void)
{
    void *library = NULL;
#define LOAD_LIBRARY(name)      library = open_library(SONAME_##name);
#define LOAD_FUNCTION(function) find_function(library, #function, &loaded.functions.function);
    FFMPEG_FUNCTIONS(LOAD_LIBRARY, LOAD_FUNCTION)
#undef LOAD_LIBRARY
#undef LOAD_FUNCTION
    if (loaded.problem[0])
        return;
    loaded.functions.av_log_set_level(AV_LOG_QUIET);
    loaded.functions.av_max_alloc(MAX_BLOCK_BYTES);
}

const struct ffmpeg *audio_ffmpeg_library(struct au_fault *fault)
{
    pthread_once(&once, load);
    if (!loaded.problem[0])
        return &loaded.functions;
    au_fail(fault, AURICLE_E_UNSUPPORTED,
            "FFmpeg's libraries are needed for this format but cannot be loaded (%s); install %s",
            loaded.problem, SONAME_avformat);
    return NULL;
}

const char *audio_ffmpeg_version(struct au_fault *fault)
{
    const struct ffmpeg *ffmpeg = audio_ffmpeg_library(fault);
    return ffmpeg ? ffmpeg->av_version_info() : NULL;
}
