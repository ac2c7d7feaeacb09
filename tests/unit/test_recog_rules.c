/* Rules against invented text: each fires on what it is for and leaves real speech alone. */
#include <math.h>

#include "recog/rules/rules.h"
#include "support/support.h"

static struct recog_evidence said(const char *language, const char *text)
{
    return (struct recog_evidence){.text = text,
                                   .bytes = strlen(text),
                                   .language = language,
                                   .seconds = 5,
                                   .loudest = 0.1f,
                                   .avg_logprob = -0.2f,
                                   .no_speech_prob = 0.01f,
                                   .compression_ratio = 1.2f,
                                   .compression_limit = 2.4f,
                                   .alone = true};
}

static void assert_rule(const struct recog_evidence *evidence, const char *name)
{
    const char *fired = recog_rules_judge(evidence);
    if (!fired != !name || (name && strcmp(fired, name) != 0))
        fail_msg("\"%s\": %s, expected %s", evidence->text, fired ? fired : "kept",
                 name ? name : "kept");
}

static void real_speech_is_kept(void **state)
{
    (void)state;
    static const char *const speech[][2] = {
        {"en", "And so, my fellow Americans, ask not what your country can do for you."},
        {"en", "No."},
        {"en", "No, no, no, no!"},
        {"en", "It costs 1,234.56 dollars on 24/12/2025."},
        {"de", "Die USB-Stick-Größe beträgt 16 GB."},
        {"ru", "Он купил iPhone в Москве."},
        {"ja", "今日はとても良い天気ですね。"},
        {"ar", "مرحبا بكم في البرنامج"},
        {"hi", "आज मौसम अच्छा है"},
    };
    for (size_t i = 0; i < sizeof(speech) / sizeof(*speech); i++) {
        struct recog_evidence e = said(speech[i][0], speech[i][1]);
        assert_rule(&e, NULL);
    }
}

static void text_over_silence_is_dropped(void **state)
{
    (void)state;
    struct recog_evidence e = said("en", "Hello there.");
    e.loudest = 0.001f;
    assert_rule(&e, "silence");
}

static void known_phrases_need_weak_evidence(void **state)
{
    (void)state;
    struct recog_evidence e = said("en", "Thank you for watching!");
    assert_rule(&e, NULL); /* somebody said so, clearly */
    e.avg_logprob = -0.9f;
    assert_rule(&e, "known-phrase");
    e.alone = false; /* at the end of other speech */
    assert_rule(&e, NULL);
    e = said("de", "Untertitel der Amara.org-Community");
    e.no_speech_prob = 0.5f;
    assert_rule(&e, "known-phrase");
    e.language = "en"; /* another language's phrase */
    assert_rule(&e, NULL);
    e = said("en", "Thank you for watching over my children.");
    e.avg_logprob = -0.9f;
    assert_rule(&e, NULL);
}

static void loops_are_dropped(void **state)
{
    (void)state;
    struct recog_evidence e = said(
        "en", "I think so. I think so. I think so. I think so. I think so. I think so.");
    assert_rule(&e, "repetition");
    e = said("ja", "はいはいはいはいはいはいはいはい");
    assert_rule(&e, "repetition");
    e = said("en", "something else altogether");
    e.compression_ratio = 3;
    assert_rule(&e, "compression");
    e.compression_limit = NAN;
    assert_rule(&e, NULL);
}

static void signs_and_foreign_scripts_are_dropped(void **state)
{
    (void)state;
    struct recog_evidence e = said("en", "♪♪♪ ~ ♪");
    assert_rule(&e, "few-letters");
    e = said("en", "...");
    assert_rule(&e, "few-letters");
    e = said("de", "продолжение следует");
    assert_rule(&e, "wrong-script");
    e = said("ru", "Thanks everyone");
    assert_rule(&e, "wrong-script");
}

static void nobody_speaks_that_fast(void **state)
{
    (void)state;
    struct recog_evidence e = said(
        "en", "this whole long sentence with very many words was said to be spoken in a moment");
    e.seconds = 0.5;
    assert_rule(&e, "too-fast");
    e.seconds = 4;
    assert_rule(&e, NULL);
    e = said("en", "Yes, sir."); /* short answers have rough times */
    e.seconds = 0.1;
    assert_rule(&e, NULL);
}

static void every_rule_has_its_own_name(void **state)
{
    (void)state;
    size_t n = 0;
    for (; recog_rules_name(n); n++) {
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(recog_rules_name(i), recog_rules_name(n));
    }
    assert_int_equal(n, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_speech_is_kept),
        cmocka_unit_test(text_over_silence_is_dropped),
        cmocka_unit_test(known_phrases_need_weak_evidence),
        cmocka_unit_test(loops_are_dropped),
        cmocka_unit_test(signs_and_foreign_scripts_are_dropped),
        cmocka_unit_test(nobody_speaks_that_fast),
        cmocka_unit_test(every_rule_has_its_own_name),
    };
    return cmocka_run_group_tests_name("recog rules", tests, NULL, NULL);
}
