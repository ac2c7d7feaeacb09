/* Reading big, flat JSON in one pass, without building a tree.
 *
 * A vocabulary is a megabyte or more of strings and numbers that are wanted once, in order.
 * Building a document of them takes longer than anything else at start-up, so these files are
 * walked instead:
 *     text_json_enter(&scan, '{');
 *     while (text_json_next_key(&scan))     the key is in scan.string
 *         id = text_json_integer(&scan, -1); An error sticks: every later call returns false or
 * its fallback, so it is looked at once, at the end. What is skipped is checked for brackets and
 * strings only. One owner; base/json.h is the reader for everything else.                        */
#ifndef TEXT_JSON_SCAN_H
#define TEXT_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct text_json_scan {
    const char *begin, *at, *end;
    struct au_buf string; /* the last key or string, escapes undone; zero terminated */
    bool fresh;           /* just entered: no comma before the first item */
    enum auricle_error error;
};

/* text is borrowed until text_json_scan_deinit. Text that is not UTF-8 is an error at once. */
void text_json_scan_init(struct text_json_scan *scan, const char *text, size_t n);
void text_json_scan_deinit(struct text_json_scan *scan);

/* First character of the next value: one of {["-0123456789tfn, or 0 at the end and after an
 * error. */
char text_json_peek(struct text_json_scan *scan);

/* Step into the next value, which must begin with this bracket. */
bool text_json_enter(struct text_json_scan *scan, char bracket);
/* Inside '{': read the next key; inside '[': is there another item? False, and outside again, at
 * the closing bracket.                                                                           */
bool text_json_next_key(struct text_json_scan *scan);
bool text_json_next_item(struct text_json_scan *scan);

bool text_json_string(struct text_json_scan *scan); /* the next value, which must be a string */
/* The next value when it is a whole number; any other is skipped and gives the fallback. */
int64_t text_json_integer(struct text_json_scan *scan, int64_t fallback);
bool text_json_skip(struct text_json_scan *scan); /* the next value, whatever it is */

/* The outcome: OK when nothing failed and nothing but white space follows.
 * Errors: FORMAT (with line and column), NOMEM, LIMIT (a string over 64 MiB).                   */
AURICLE_MUST_CHECK enum auricle_error text_json_scan_result(struct text_json_scan *scan,
                                                            struct au_fault *fault);

#endif
