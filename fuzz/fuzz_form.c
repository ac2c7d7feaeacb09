/* Fields of the REST front: lines "name=value" become a form, which every front door reads. What it
 * takes leads to options within their bounds; what it refuses has a sentence and a name.         */
#include <math.h>
#include <string.h>

#include "api/rest/openai.h"
#include "api/rest/whispercpp.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "fuzz.h"

static void check_text(const char *text)
{
    FUZZ_CHECK(!text || au_utf8_valid(text, strlen(text)));
}

static void check_options(const struct auricle_options *o)
{
    FUZZ_CHECK(o->n_temperatures >= 0 && o->n_temperatures <= AURICLE_MAX_TEMPERATURES);
    for (int i = 0; i < o->n_temperatures; i++)
        FUZZ_CHECK(o->temperatures[i] >= 0 && o->temperatures[i] <= 1.001f);
    FUZZ_CHECK(isfinite(o->vad_threshold));
    check_text(o->language);
    check_text(o->languages);
    check_text(o->initial_prompt);
    check_text(o->hotwords);
}

static void read_door(const struct rest_door *door, const struct rest_fields *fields)
{
    struct rest_reject reject = {0};
    struct rest_job job = {.door = door};
    au_buf_init(&job.hotwords, 0);
    au_buf_init(&job.languages, 0);
    job.params = au_calloc(1, door->params_bytes);
    FUZZ_CHECK(job.params);
    door->defaults(job.params);
    enum auricle_error error = rest_params_read(fields, door->table, job.params, &reject);
    if (!error)
        error = door->plan(&job, &reject);
    if (error) {
        FUZZ_CHECK(reject.fault.text[0] && reject.code);
        check_text(reject.fault.text);
        check_text(reject.param);
    } else {
        check_options(&job.options);
        check_text(job.model);
    }
    au_buf_deinit(&job.hotwords);
    au_buf_deinit(&job.languages);
    au_free(job.params);
}

/* One field, its value in two pieces. Returns false when the form is refused. */
static bool add_field(struct rest_fields *fields, const char *line, size_t n)
{
    struct au_fault fault = {0};
    const char *equals = memchr(line, '=', n);
    size_t n_name = equals ? (size_t)(equals - line) : n, begin = n_name + (equals != NULL);
    size_t middle = begin + (n - begin) / 2;
    char *name = au_strndup(line, n_name);
    FUZZ_CHECK(name);
    if (!au_utf8_valid(name, strlen(name))) { /* names come decoded and checked */
        au_free(name);
        return false;
    }
    enum auricle_error error = rest_fields_begin(fields, name, &fault);
    if (!error)
        error = rest_fields_value(fields, line + begin, middle - begin, &fault);
    if (!error)
        error = rest_fields_value(fields, line + middle, n - middle, &fault);
    if (!error)
        error = rest_fields_end(fields, &fault);
    FUZZ_CHECK(!error || fault.text[0]);
    au_free(name);
    return !error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = text + size;
    struct rest_fields fields;
    bool good = true;
    rest_fields_init(&fields);
    while (good && text < end) {
        const char *lf = memchr(text, '\n', (size_t)(end - text));
        size_t n = lf ? (size_t)(lf - text) : (size_t)(end - text);
        good = add_field(&fields, text, n);
        text += n + 1;
    }
    if (good) {
        for (size_t i = 0; i < fields.n; i++) {
            check_text(rest_field_name(&fields, i));
            check_text(rest_field_value(&fields, i));
        }
        read_door(&openai_transcriptions, &fields);
        read_door(&openai_translations, &fields);
        read_door(&whispercpp_inference, &fields);
    }
    rest_fields_deinit(&fields);
    return 0;
}
