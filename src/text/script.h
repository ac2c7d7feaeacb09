/* In which scripts a text is written, and whether that suits its language. For rules that tell
 * speech from invention: a Thai segment in a German recording was not said. Static data, any
 * thread.                                                                                        */
#ifndef TEXT_SCRIPT_H
#define TEXT_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum text_script {
    TEXT_SCRIPT_OTHER, /* a letter of a script that no language of the model is written in */
    TEXT_SCRIPT_LATIN,
    TEXT_SCRIPT_CYRILLIC,
    TEXT_SCRIPT_GREEK,
    TEXT_SCRIPT_ARMENIAN,
    TEXT_SCRIPT_GEORGIAN,
    TEXT_SCRIPT_HEBREW,
    TEXT_SCRIPT_ARABIC,
    TEXT_SCRIPT_ETHIOPIC,
    TEXT_SCRIPT_DEVANAGARI,
    TEXT_SCRIPT_BENGALI,
    TEXT_SCRIPT_GURMUKHI,
    TEXT_SCRIPT_GUJARATI,
    TEXT_SCRIPT_TAMIL,
    TEXT_SCRIPT_TELUGU,
    TEXT_SCRIPT_KANNADA,
    TEXT_SCRIPT_MALAYALAM,
    TEXT_SCRIPT_SINHALA,
    TEXT_SCRIPT_THAI,
    TEXT_SCRIPT_LAO,
    TEXT_SCRIPT_TIBETAN,
    TEXT_SCRIPT_MYANMAR,
    TEXT_SCRIPT_KHMER,
    TEXT_SCRIPT_MONGOLIAN,
    TEXT_SCRIPT_HAN,  /* with Bopomofo */
    TEXT_SCRIPT_KANA, /* Hiragana and Katakana */
    TEXT_SCRIPT_HANGUL,
    TEXT_N_SCRIPTS
};

const char *text_script_name(enum text_script script); /* "latin"; never NULL */
enum text_script text_script_of(uint32_t letter);      /* by block; OTHER when in none */

struct text_letters {
    size_t n_visible; /* characters but white space and marks, which belong to their letters */
    size_t n_letters;
    size_t n_numbers;
    size_t by_script[TEXT_N_SCRIPTS]; /* letters of each */
};

/* Count the characters of text. */
struct text_letters text_count_letters(const char *text, size_t n);

/* Letters and numbers per visible character, 0 to 1; 0 for a text with none. Music signs, dashes
 * and the like are what the rest is.                                                             */
double text_letters_share(const struct text_letters *letters);

/* The script of most letters; OTHER when there are none. */
enum text_script text_letters_dominant(const struct text_letters *letters);

/* Share of the letters that are of a script the language is written in, 0 to 1. 1 without
 * letters and for unknown languages: no evidence against either.                                 */
double text_script_share(const char *language_code, const struct text_letters *letters);

/* Is the text in the scripts of the language? Not when none of its letters are, nor when those of
 * others outnumber them. Latin letters among fitting ones are names and loan words ("USB") and
 * count for neither side. True without letters and for unknown languages.                       */
bool text_script_fits(const char *language_code, const char *text, size_t n);

#endif
