/* Parts of a result as JSON, for whoever puts them into an object of their own: the command
 * line's json and the answers of the server have the same segments. Members are
 * openai/whisper's, and after them what auricle adds (language, filtered_by). No state; any
 * thread.                                                                                        */
#ifndef RECOG_RENDER_JSON_H
#define RECOG_RENDER_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "auricle/auricle.h"
#include "base/json.h"

/* Whole milliseconds, in seconds: 11.000000000000002 helps nobody. */
void recog_json_time(struct au_json_writer *w, const char *key, double seconds);
/* The shortest decimal that reads back as the same float: 0.2, not 0.200000003. */
void recog_json_float(struct au_json_writer *w, const char *key, float value);

/* The words of a segment as items of the array that is open. Stripped: without the blank in front
 * that joins them. */
void recog_json_words(struct au_json_writer *w, const struct auricle_segment *segment,
                      bool stripped);
/* An array of segments under that key. with_words: as an array in each that has them. */
void recog_json_segments(struct au_json_writer *w, const char *key,
                         const struct auricle_segment *segments, size_t n, bool with_words);

#endif
