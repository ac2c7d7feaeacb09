/* Decoded frames of any sample format to mono f32. */
#ifndef AUDIO_FFMPEG_CONVERT_H
#define AUDIO_FFMPEG_CONVERT_H

#include <stdbool.h>
#include <stddef.h>

#include "audio/ffmpeg/library.h"

/* mono[i] = average over channels of the frame's samples [first, first + n). False when the
 * format is none that is known.                                                                  */
bool audio_ffmpeg_to_mono(const struct ffmpeg *ff, const AVFrame *frame, size_t first, size_t n,
                          float *mono);

#endif
