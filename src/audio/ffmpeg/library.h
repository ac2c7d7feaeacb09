/* FFmpeg's libraries, loaded when they are first needed.
 *
 * They pull in some 135 shared libraries (22 ms and 28 MB before main), so the program does not
 * link them: the functions used are looked up once, by the sonames that belong to the headers of
 * the build. A machine without FFmpeg gets a sentence. Only src/audio/ffmpeg includes FFmpeg's
 * headers.                                                                                       */
#ifndef AUDIO_FFMPEG_LIBRARY_H
#define AUDIO_FFMPEG_LIBRARY_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/channel_layout.h>
#include <libavutil/error.h>
#include <libavutil/log.h>
#include <libavutil/mem.h>
#include <libavutil/samplefmt.h>

#include "base/error.h"

/* LIBRARY(short name), FUNCTION(name) in the library named last. */
#define FFMPEG_FUNCTIONS(LIBRARY, FUNCTION) \
    LIBRARY(avutil)                         \
    FUNCTION(av_version_info)               \
    FUNCTION(av_log_set_level)              \
    FUNCTION(av_max_alloc)                  \
    FUNCTION(av_malloc)                     \
    FUNCTION(av_freep)                      \
    FUNCTION(av_strdup)                     \
    FUNCTION(av_frame_alloc)                \
    FUNCTION(av_frame_free)                 \
    FUNCTION(av_frame_unref)                \
    FUNCTION(av_strerror)                   \
    FUNCTION(av_sample_fmt_is_planar)       \
    FUNCTION(av_get_packed_sample_fmt)      \
    FUNCTION(av_get_bytes_per_sample)       \
    LIBRARY(avcodec)                        \
    FUNCTION(avcodec_find_decoder)          \
    FUNCTION(avcodec_alloc_context3)        \
    FUNCTION(avcodec_free_context)          \
    FUNCTION(avcodec_parameters_to_context) \
    FUNCTION(avcodec_open2)                 \
    FUNCTION(avcodec_send_packet)           \
    FUNCTION(avcodec_receive_frame)         \
    FUNCTION(avcodec_get_name)              \
    FUNCTION(av_packet_alloc)               \
    FUNCTION(av_packet_free)                \
    FUNCTION(av_packet_unref)               \
    LIBRARY(avformat)                       \
    FUNCTION(avio_alloc_context)            \
    FUNCTION(avio_context_free)             \
    FUNCTION(avformat_alloc_context)        \
    FUNCTION(avformat_open_input)           \
    FUNCTION(avformat_find_stream_info)     \
    FUNCTION(avformat_close_input)          \
    FUNCTION(av_find_best_stream)           \
    FUNCTION(av_read_frame)

struct ffmpeg {
#define FFMPEG_LIBRARY(library)
#define FFMPEG_POINTER(function) __typeof__(function) *function;
    FFMPEG_FUNCTIONS(FFMPEG_LIBRARY, FFMPEG_POINTER)
#undef FFMPEG_LIBRARY
#undef FFMPEG_POINTER
};

/* The functions, loading the libraries the first time. NULL when they are not to be had: the fault
 * (UNSUPPORTED) says why. Thread: any.                                                           */
const struct ffmpeg *audio_ffmpeg_library(struct au_fault *fault);

#endif
