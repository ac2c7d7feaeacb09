/* Form fields. See fields.h. */
#include "api/rest/fields.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"

/* ---- As they were sent ----------------------------------------------------------------------- */

void rest_fields_init(struct rest_fields *fields)
{
    *fields = (struct rest_fields){.n = 0};
    au_buf_init(&fields->text, REST_MAX_FIELD_BYTES);
}

void rest_fields_deinit(struct rest_fields *fields)
{
    au_buf_deinit(&fields->text);
}

static enum auricle_error check(const struct rest_fields *fields, const char *name,
                                struct au_fault *fault)
{
    if (fields->text.error == AURICLE_E_LIMIT)
        return au_fail(fault, AURICLE_E_LIMIT, "the fields of the form hold more than %d bytes",
                       REST_MAX_FIELD_BYTES);
    return fields->text.error
               ? au_fail(fault, fields->text.error, "out of memory for the field %s", name)
               : AURICLE_OK;
}

enum auricle_error rest_fields_begin(struct rest_fields *fields, const char *name,
                                     struct au_fault *fault)
{
    if (fields->n == REST_MAX_FIELDS)
        return au_fail(fault, AURICLE_E_LIMIT, "the form has more than %d fields", REST_MAX_FIELDS);
    size_t n = strlen(name);
    if (au_str_ends(name, "[]"))
        n -= 2;
    struct rest_field *field = &fields->at[fields->n];
    field->name = fields->text.len;
    au_buf_append(&fields->text, name, n);
    au_buf_putc(&fields->text, '\0');
    field->value = fields->text.len;
    fields->n++;
    return check(fields, name, fault);
}

enum auricle_error rest_fields_value(struct rest_fields *fields, const void *bytes, size_t n,
                                     struct au_fault *fault)
{
    au_buf_append(&fields->text, bytes, n);
    return check(fields, rest_field_name(fields, fields->n - 1), fault);
}

enum auricle_error rest_fields_end(struct rest_fields *fields, struct au_fault *fault)
{
    const char *name = rest_field_name(fields, fields->n - 1);
    size_t value = fields->at[fields->n - 1].value, n = fields->text.len - value;
    if (memchr(fields->text.data + value, 0, n) || !au_utf8_valid(fields->text.data + value, n))
        return au_fail(fault, AURICLE_E_INVALID,
                       "the field %s holds bytes that are no UTF-8 text; is it a file without a "
                       "file name?",
                       name);
    au_buf_putc(&fields->text, '\0');
    return check(fields, name, fault);
}

const char *rest_field_name(const struct rest_fields *fields, size_t i)
{
    return fields->text.data + fields->at[i].name;
}

const char *rest_field_value(const struct rest_fields *fields, size_t i)
{
    return fields->text.data + fields->at[i].value;
}

const char *rest_fields_find(const struct rest_fields *fields, const char *name)
{
    for (size_t i = fields->n; i-- > 0;)
        if (au_str_equal(rest_field_name(fields, i), name))
            return rest_field_value(fields, i);
    return NULL;
}

/* ---- As they are meant ----------------------------------------------------------------------- */

enum auricle_error rest_reject(struct rest_reject *reject, const char *param, const char *code,
                               const char *format, ...)
{
    char text[AU_FAULT_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    au_str_copy(reject->param, sizeof(reject->param), param);
    reject->code = code;
    return au_fail(&reject->fault, AURICLE_E_INVALID, "%s", text);
}

/* Index of value in "one|two|three", or -1. */
static int choice_of(const char *choices, const char *value)
{
    size_t n = strlen(value);
    for (int index = 0; choices; index++) {
        const char *bar = strchr(choices, '|');
        size_t length = bar ? (size_t)(bar - choices) : strlen(choices);
        if (length == n && memcmp(choices, value, n) == 0)
            return index;
        choices = bar ? bar + 1 : NULL;
    }
    return -1;
}

static enum auricle_error wrong(const struct rest_param *param, const char *value,
                                struct rest_reject *reject)
{
    static const char code[] = "invalid_value";
    switch (param->kind) {
    case REST_INT:
        return rest_reject(reject, param->name, code,
                           "%s is \"%s\"; a whole number from %.0f to %.0f is expected",
                           param->name, value, param->min, param->max);
    case REST_NUMBER:
        return rest_reject(reject, param->name, code,
                           "%s is \"%s\"; a number from %g to %g is expected", param->name, value,
                           param->min, param->max);
    case REST_BOOL:
        return rest_reject(reject, param->name, code, "%s is \"%s\"; true or false is expected",
                           param->name, value);
    case REST_FIXED:
        return rest_reject(reject, param->name, "unsupported_value",
                           "%s is \"%s\", which this server cannot do; leave it out", param->name,
                           value);
    default:
        return rest_reject(reject, param->name, code, "%s is \"%s\"; one of %s is expected",
                           param->name, value, param->choices);
    }
}

static bool read_number(const struct rest_param *param, const char *value, void *at)
{
    double number;
    if (!au_parse_double(value, &number) || number < param->min || number > param->max)
        return false;
    memcpy(at, &number, sizeof(number));
    return true;
}

static bool read_int(const struct rest_param *param, const char *value, void *at)
{
    int64_t wide;
    if (!au_parse_i64(value, &wide) || (double)wide < param->min || (double)wide > param->max)
        return false;
    int number = (int)wide;
    memcpy(at, &number, sizeof(number));
    return true;
}

static bool read_bool(const char *value, void *at)
{
    bool truth = false;
    if (au_str_equal_nocase(value, "y"))
        truth = true;
    else if (!au_str_equal(value, "null") && !au_parse_bool(value, &truth))
        return false;
    memcpy(at, &truth, sizeof(truth));
    return true;
}

static bool read_choice(const struct rest_param *param, const char *value, void *at)
{
    int index = choice_of(param->choices, value);
    if (index >= 0)
        memcpy(at, &index, sizeof(index));
    return index >= 0;
}

static bool read_list(const char *value, void *at)
{
    struct rest_list *list = at;
    if (list->n == REST_MAX_LIST)
        return false;
    list->at[list->n++] = value;
    return true;
}

/* False when the value cannot be what the parameter takes. */
static bool read_value(const struct rest_param *param, const char *value, void *at)
{
    switch (param->kind) {
    case REST_TEXT: memcpy(at, &value, sizeof(value)); return true;
    case REST_LIST: return read_list(value, at);
    case REST_INT: return read_int(param, value, at);
    case REST_NUMBER: return read_number(param, value, at);
    case REST_BOOL: return read_bool(value, at);
    case REST_CHOICE: return read_choice(param, value, at);
    case REST_FIXED: return choice_of(param->choices, value) >= 0;
    }
    return false;
}

static const struct rest_param *find(const struct rest_param *table, const char *name)
{
    for (; table->name; table++)
        if (au_str_equal(table->name, name))
            return table;
    return NULL;
}

enum auricle_error rest_params_read(const struct rest_fields *fields,
                                    const struct rest_param *table, void *out,
                                    struct rest_reject *reject)
{
    for (size_t i = 0; i < fields->n; i++) {
        const char *name = rest_field_name(fields, i), *value = rest_field_value(fields, i);
        const struct rest_param *param = find(table, name);
        if (!param)
            return rest_reject(reject, name, "unknown_parameter",
                               "there is no field \"%s\" here; GET /openapi.json lists those there "
                               "are",
                               name);
        if (!*value && param->kind != REST_LIST)
            continue;
        if (!read_value(param, value, (char *)out + param->offset))
            return param->kind == REST_LIST
                       ? rest_reject(reject, name, "too_many", "%s is given more than %d times",
                                     name, REST_MAX_LIST)
                       : wrong(param, value, reject);
    }
    return AURICLE_OK;
}
