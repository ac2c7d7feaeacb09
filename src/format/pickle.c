/* The restricted pickle machine. See pickle.h for what it can and cannot build.
 *
 * One function per instruction, found in a table of 256; an empty slot is an instruction that is
 * refused. Values are carved from blocks that are freed together.                                */
#include "format/pickle.h"

#include <string.h>

#include "base/mem.h"
#include "format/bytes.h"
#include "format/store.h"

#define MAX_VALUES     (1u << 20) /* a checkpoint of 1,259 tensors makes 30,000 */
#define MAX_STACK      (1u << 16)
#define MAX_MEMO       (1u << 20)
#define MAX_MARKS      256
#define MAX_NAME_BYTES 200
#define BLOCK_BYTES    ((size_t)64 << 10)

typedef struct format_pickle_value value;

/* What may be called or named. The storages follow STORAGE_FIRST in the order of storage_types. */
enum callable {
    ORDERED_DICT,
    REBUILD_TENSOR,
    REBUILD_TENSOR_V2,
    REBUILD_PARAMETER,
    TORCH_SIZE,
    STORAGE_FIRST
};

struct block {
    struct block *next;
    size_t used; /* of the BLOCK_BYTES behind this head */
};

struct format_pickle {
    struct format_cursor in;
    struct au_fault *fault;
    format_pickle_source *source;
    void *source_context;

    struct block *blocks;
    size_t n_values;
    value **stack;
    size_t n_stack, stack_capacity;
    size_t marks[MAX_MARKS]; /* heights of the stack */
    size_t n_marks;
    value **memo; /* NULL: never put */
    size_t n_memo, memo_capacity;
    size_t n_memoized; /* number that MEMOIZE gives next */
    value *root;       /* set by STOP */
};

/* ---- Memory ---------------------------------------------------------------------------------- */

static void *carve(struct format_pickle *p, size_t bytes)
{
    bytes = au_round_up(bytes, 16);
    if (!p->blocks || p->blocks->used + bytes > BLOCK_BYTES) {
        struct block *block = au_alloc(sizeof *block + BLOCK_BYTES);
        if (!block) {
            au_fail(p->fault, AURICLE_E_NOMEM, "out of memory for the contents of the checkpoint");
            return NULL;
        }
        *block = (struct block){p->blocks, 0};
        p->blocks = block;
    }
    void *memory = (uint8_t *)(p->blocks + 1) + p->blocks->used;
    p->blocks->used += bytes;
    return memory;
}

static enum auricle_error out_of_memory(struct format_pickle *p)
{
    return au_fail(p->fault, AURICLE_E_NOMEM, "out of memory for the contents of the checkpoint");
}

static enum auricle_error damaged(struct format_pickle *p, const char *what)
{
    return au_fail(p->fault, AURICLE_E_FORMAT, "data.pkl %s (byte %zu): the file is damaged", what,
                   p->in.at);
}

static enum auricle_error refused(struct format_pickle *p, const char *what, const char *text,
                                  size_t bytes)
{
    return au_fail(
        p->fault, AURICLE_E_UNSUPPORTED,
        "data.pkl wants %s '%.*s', and only tensors, numbers, texts, lists and "
        "dictionaries are built from a pickle: save the model's state_dict alone, or load "
        "its safetensors file",
        what, (int)(bytes < MAX_NAME_BYTES ? bytes : MAX_NAME_BYTES), text);
}

/* Room for element n of a growing array of pointers. */
static bool grow(value ***array, size_t *capacity, size_t n)
{
    if (n < *capacity)
        return true;
    size_t wanted = *capacity ? *capacity : 256;
    while (wanted <= n)
        wanted *= 2;
    value **larger = au_realloc(*array, wanted * sizeof *larger);
    if (!larger)
        return false;
    memset(larger + *capacity, 0, (wanted - *capacity) * sizeof *larger);
    *array = larger;
    *capacity = wanted;
    return true;
}

/* ---- The stack ------------------------------------------------------------------------------- */

static enum auricle_error push(struct format_pickle *p, value *v)
{
    if (p->n_stack >= MAX_STACK)
        return au_fail(p->fault, AURICLE_E_LIMIT, "data.pkl needs a stack of more than %u values",
                       MAX_STACK);
    if (!grow(&p->stack, &p->stack_capacity, p->n_stack))
        return out_of_memory(p);
    p->stack[p->n_stack++] = v;
    return AURICLE_OK;
}

static value *new_value(struct format_pickle *p, enum format_pickle_kind kind,
                        enum auricle_error *error)
{
    if (p->n_values >= MAX_VALUES) {
        *error = au_fail(p->fault, AURICLE_E_LIMIT, "data.pkl builds more than %u values",
                         MAX_VALUES);
        return NULL;
    }
    value *v = carve(p, sizeof *v);
    if (!v) {
        *error = AURICLE_E_NOMEM;
        return NULL;
    }
    memset(v, 0, sizeof *v);
    v->kind = kind;
    p->n_values++;
    *error = AURICLE_OK;
    return v;
}

static enum auricle_error push_integer(struct format_pickle *p, enum format_pickle_kind kind,
                                       int64_t integer)
{
    enum auricle_error error;
    value *v = new_value(p, kind, &error);
    if (!v)
        return error;
    v->integer = integer;
    return push(p, v);
}

static enum auricle_error push_empty(struct format_pickle *p, enum format_pickle_kind kind)
{
    return push_integer(p, kind, 0); /* all zero: no items */
}

/* The height below which nothing may be taken: the last mark. */
static size_t floor_height(const struct format_pickle *p)
{
    return p->n_marks ? p->marks[p->n_marks - 1] : 0;
}

static value *pop(struct format_pickle *p)
{
    return p->n_stack > floor_height(p) ? p->stack[--p->n_stack] : NULL;
}

static value *top(struct format_pickle *p)
{
    return p->n_stack > floor_height(p) ? p->stack[p->n_stack - 1] : NULL;
}

static enum auricle_error append(struct format_pickle *p, value *container, const value *key,
                                 const value *item)
{
    if (p->n_values >= MAX_VALUES)
        return au_fail(p->fault, AURICLE_E_LIMIT, "data.pkl builds more than %u values",
                       MAX_VALUES);
    struct format_pickle_item *entry = carve(p, sizeof *entry);
    if (!entry)
        return AURICLE_E_NOMEM;
    *entry = (struct format_pickle_item){key, item, NULL};
    if (container->items.last)
        container->items.last->next = entry;
    else
        container->items.first = entry;
    container->items.last = entry;
    container->items.n++;
    p->n_values++;
    return AURICLE_OK;
}

/* Move the values from height `from` up into a container, which is not on the stack. */
static enum auricle_error gather(struct format_pickle *p, value *container, size_t from)
{
    bool is_dict = container->kind == FORMAT_PICKLE_DICT;
    enum auricle_error error = AURICLE_OK;
    if (is_dict && (p->n_stack - from) % 2)
        return damaged(p, "has a key without a value");
    for (size_t i = from; i < p->n_stack && !error; i += is_dict ? 2 : 1)
        error = is_dict ? append(p, container, p->stack[i], p->stack[i + 1])
                        : append(p, container, NULL, p->stack[i]);
    p->n_stack = from;
    return error;
}

static enum auricle_error pop_mark(struct format_pickle *p, size_t *height)
{
    if (p->n_marks == 0)
        return damaged(p, "closes a list that was not opened");
    *height = p->marks[--p->n_marks];
    return AURICLE_OK;
}

static enum auricle_error build(struct format_pickle *p, enum format_pickle_kind kind, size_t from)
{
    enum auricle_error error;
    value *container = new_value(p, kind, &error);
    if (!container)
        return error;
    error = gather(p, container, from);
    return error ? error : push(p, container);
}

static enum auricle_error build_to_mark(struct format_pickle *p, enum format_pickle_kind kind)
{
    size_t from = 0;
    enum auricle_error error = pop_mark(p, &from);
    return error ? error : build(p, kind, from);
}

static enum auricle_error build_tuple(struct format_pickle *p, size_t n)
{
    if (p->n_stack - floor_height(p) < n)
        return damaged(p, "builds a tuple from nothing");
    return build(p, FORMAT_PICKLE_TUPLE, p->n_stack - n);
}

static value *item_at(const value *sequence, size_t i)
{
    const struct format_pickle_item *item = sequence->items.first;
    while (item && i--)
        item = item->next;
    return item ? (value *)(uintptr_t)item->value : NULL;
}

/* ---- Instructions: constants ----------------------------------------------------------------- */

static enum auricle_error op_none(struct format_pickle *p)
{
    return push_empty(p, FORMAT_PICKLE_NONE);
}

static enum auricle_error op_true(struct format_pickle *p)
{
    return push_integer(p, FORMAT_PICKLE_BOOL, 1);
}

static enum auricle_error op_false(struct format_pickle *p)
{
    return push_integer(p, FORMAT_PICKLE_BOOL, 0);
}

static enum auricle_error ends_early(struct format_pickle *p)
{
    return damaged(p, "ends early");
}

static enum auricle_error op_int8(struct format_pickle *p)
{
    uint8_t n;
    return format_take_u8(&p->in, &n) ? push_integer(p, FORMAT_PICKLE_INT, n) : ends_early(p);
}

static enum auricle_error op_int16(struct format_pickle *p)
{
    uint16_t n;
    return format_take_u16(&p->in, &n) ? push_integer(p, FORMAT_PICKLE_INT, n) : ends_early(p);
}

static enum auricle_error op_int32(struct format_pickle *p)
{
    uint32_t n;
    return format_take_u32(&p->in, &n) ? push_integer(p, FORMAT_PICKLE_INT, (int32_t)n)
                                       : ends_early(p);
}

/* A two's complement number of n bytes. Larger ones than int64 are no size, count or id. */
static enum auricle_error op_long(struct format_pickle *p)
{
    uint8_t n;
    const uint8_t *bytes;
    if (!format_take_u8(&p->in, &n) || !format_take(&p->in, n, &bytes))
        return ends_early(p);
    if (n > 8)
        return au_fail(p->fault, AURICLE_E_UNSUPPORTED,
                       "data.pkl has a number of %u bytes, at most "
                       "8 are read",
                       n);
    uint64_t bits = n && bytes[n - 1] & 0x80 ? UINT64_MAX : 0;
    for (int i = n; i-- > 0;)
        bits = bits << 8 | bytes[i];
    return push_integer(p, FORMAT_PICKLE_INT, (int64_t)bits);
}

static enum auricle_error op_real(struct format_pickle *p)
{
    const uint8_t *bytes;
    enum auricle_error error;
    if (!format_take(&p->in, 8, &bytes))
        return ends_early(p);
    value *v = new_value(p, FORMAT_PICKLE_REAL, &error);
    if (!v)
        return error;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits = bits << 8 | bytes[i]; /* the one big-endian thing in a pickle */
    memcpy(&v->real, &bits, sizeof v->real);
    return push(p, v);
}

static enum auricle_error push_string(struct format_pickle *p, uint64_t n)
{
    enum auricle_error error;
    const uint8_t *bytes;
    if (n > format_left(&p->in) || !format_take(&p->in, (size_t)n, &bytes))
        return ends_early(p);
    value *v = new_value(p, FORMAT_PICKLE_STRING, &error);
    if (!v)
        return error;
    v->string.text = (const char *)bytes;
    v->string.bytes = (size_t)n;
    return push(p, v);
}

static enum auricle_error op_string8(struct format_pickle *p)
{
    uint8_t n;
    return format_take_u8(&p->in, &n) ? push_string(p, n) : ends_early(p);
}

static enum auricle_error op_string32(struct format_pickle *p)
{
    uint32_t n;
    return format_take_u32(&p->in, &n) ? push_string(p, n) : ends_early(p);
}

static enum auricle_error op_string64(struct format_pickle *p)
{
    const uint8_t *n;
    return format_take(&p->in, 8, &n) ? push_string(p, format_le64(n)) : ends_early(p);
}

/* ---- Instructions: containers, memo, frame --------------------------------------------------- */

static enum auricle_error op_mark(struct format_pickle *p)
{
    if (p->n_marks >= MAX_MARKS)
        return au_fail(p->fault, AURICLE_E_LIMIT, "data.pkl nests deeper than %d levels",
                       MAX_MARKS);
    p->marks[p->n_marks++] = p->n_stack;
    return AURICLE_OK;
}

static enum auricle_error op_empty_tuple(struct format_pickle *p)
{
    return push_empty(p, FORMAT_PICKLE_TUPLE);
}

static enum auricle_error op_tuple1(struct format_pickle *p)
{
    return build_tuple(p, 1);
}

static enum auricle_error op_tuple2(struct format_pickle *p)
{
    return build_tuple(p, 2);
}

static enum auricle_error op_tuple3(struct format_pickle *p)
{
    return build_tuple(p, 3);
}

static enum auricle_error op_tuple(struct format_pickle *p)
{
    return build_to_mark(p, FORMAT_PICKLE_TUPLE);
}

static enum auricle_error op_empty_list(struct format_pickle *p)
{
    return push_empty(p, FORMAT_PICKLE_LIST);
}

static enum auricle_error op_empty_dict(struct format_pickle *p)
{
    return push_empty(p, FORMAT_PICKLE_DICT);
}

/* Add what lies above height `from` to the container that lies just below it. */
static enum auricle_error extend(struct format_pickle *p, size_t from, enum format_pickle_kind kind)
{
    if (from > p->n_stack || from <= floor_height(p) || p->stack[from - 1]->kind != kind)
        return damaged(p, "adds items to something that holds none");
    return gather(p, p->stack[from - 1], from);
}

static enum auricle_error extend_to_mark(struct format_pickle *p, enum format_pickle_kind kind)
{
    size_t from = 0;
    enum auricle_error error = pop_mark(p, &from);
    return error ? error : extend(p, from, kind);
}

static enum auricle_error op_append(struct format_pickle *p)
{
    return extend(p, p->n_stack - (p->n_stack > 0), FORMAT_PICKLE_LIST);
}

static enum auricle_error op_appends(struct format_pickle *p)
{
    return extend_to_mark(p, FORMAT_PICKLE_LIST);
}

static enum auricle_error op_set_item(struct format_pickle *p)
{
    return extend(p, p->n_stack > 1 ? p->n_stack - 2 : 0, FORMAT_PICKLE_DICT);
}

static enum auricle_error op_set_items(struct format_pickle *p)
{
    return extend_to_mark(p, FORMAT_PICKLE_DICT);
}

static enum auricle_error put(struct format_pickle *p, size_t i)
{
    value *v = top(p);
    if (!v)
        return damaged(p, "remembers nothing");
    if (i >= MAX_MEMO)
        return au_fail(p->fault, AURICLE_E_LIMIT, "data.pkl remembers more than %u values",
                       MAX_MEMO);
    if (!grow(&p->memo, &p->memo_capacity, i))
        return out_of_memory(p);
    p->memo[i] = v;
    p->n_memo = i >= p->n_memo ? i + 1 : p->n_memo;
    return AURICLE_OK;
}

static enum auricle_error get(struct format_pickle *p, size_t i)
{
    if (i >= p->n_memo || !p->memo[i])
        return damaged(p, "recalls a value that was never remembered");
    return push(p, p->memo[i]);
}

static enum auricle_error op_put8(struct format_pickle *p)
{
    uint8_t i;
    return format_take_u8(&p->in, &i) ? put(p, i) : ends_early(p);
}

static enum auricle_error op_put32(struct format_pickle *p)
{
    uint32_t i;
    return format_take_u32(&p->in, &i) ? put(p, i) : ends_early(p);
}

static enum auricle_error op_memoize(struct format_pickle *p)
{
    return put(p, p->n_memoized++);
}

static enum auricle_error op_get8(struct format_pickle *p)
{
    uint8_t i;
    return format_take_u8(&p->in, &i) ? get(p, i) : ends_early(p);
}

static enum auricle_error op_get32(struct format_pickle *p)
{
    uint32_t i;
    return format_take_u32(&p->in, &i) ? get(p, i) : ends_early(p);
}

static enum auricle_error op_protocol(struct format_pickle *p)
{
    uint8_t version;
    if (!format_take_u8(&p->in, &version))
        return ends_early(p);
    if (version < 2 || version > 5)
        return au_fail(p->fault, AURICLE_E_UNSUPPORTED,
                       "data.pkl has pickle protocol %u, 2 to 5 are read", version);
    return AURICLE_OK;
}

static enum auricle_error op_frame(struct format_pickle *p)
{
    const uint8_t *length; /* a hint for readers of pipes; the instructions follow */
    return format_take(&p->in, 8, &length) ? AURICLE_OK : ends_early(p);
}

static enum auricle_error op_stop(struct format_pickle *p)
{
    p->root = pop(p);
    if (!p->root || p->n_stack > 0 || p->n_marks > 0)
        return damaged(p, "stops with an unfinished value");
    return AURICLE_OK;
}

/* ---- Instructions: names and calls ----------------------------------------------------------- */

static const struct {
    const char *name;
    enum format_type type;
} storage_types[] = {
    {"torch.FloatStorage", FORMAT_F32},     {"torch.HalfStorage", FORMAT_F16},
    {"torch.BFloat16Storage", FORMAT_BF16}, {"torch.DoubleStorage", FORMAT_F64},
    {"torch.LongStorage", FORMAT_I64},      {"torch.IntStorage", FORMAT_I32},
    {"torch.ShortStorage", FORMAT_I16},     {"torch.CharStorage", FORMAT_I8},
    {"torch.ByteStorage", FORMAT_U8},       {"torch.BoolStorage", FORMAT_BOOL},
};
#define N_STORAGE_TYPES (int64_t)(sizeof storage_types / sizeof *storage_types)

static const char *const callables[] = {
    [ORDERED_DICT] = "collections.OrderedDict",
    [REBUILD_TENSOR] = "torch._utils._rebuild_tensor",
    [REBUILD_TENSOR_V2] = "torch._utils._rebuild_tensor_v2",
    [REBUILD_PARAMETER] = "torch._utils._rebuild_parameter",
    [TORCH_SIZE] = "torch.Size",
};

static enum auricle_error push_global(struct format_pickle *p, const char *module,
                                      size_t module_bytes, const char *name, size_t name_bytes)
{
    char full[MAX_NAME_BYTES];
    if (module_bytes + name_bytes + 2 > sizeof full)
        return refused(p, "the name", name, name_bytes);
    memcpy(full, module, module_bytes);
    full[module_bytes] = '.';
    memcpy(full + module_bytes + 1, name, name_bytes);
    size_t n = module_bytes + 1 + name_bytes;
    full[n] = '\0';
    for (int64_t i = 0; i < STORAGE_FIRST; i++)
        if (strlen(callables[i]) == n && memcmp(callables[i], full, n) == 0)
            return push_integer(p, FORMAT_PICKLE_GLOBAL, i);
    for (int64_t i = 0; i < N_STORAGE_TYPES; i++)
        if (strlen(storage_types[i].name) == n && memcmp(storage_types[i].name, full, n) == 0)
            return push_integer(p, FORMAT_PICKLE_GLOBAL, STORAGE_FIRST + i);
    return refused(p, "the Python object", full, n);
}

/* Bytes up to the next newline, which is taken too. */
static bool take_line(struct format_cursor *in, const char **text, size_t *bytes)
{
    const uint8_t *end = memchr(in->data + in->at, '\n', format_left(in));
    if (!end)
        return false;
    *text = (const char *)in->data + in->at;
    *bytes = (size_t)(end - (in->data + in->at));
    in->at += *bytes + 1;
    return true;
}

static enum auricle_error op_global(struct format_pickle *p)
{
    const char *module, *name;
    size_t module_bytes, name_bytes;
    if (!take_line(&p->in, &module, &module_bytes) || !take_line(&p->in, &name, &name_bytes))
        return ends_early(p);
    return push_global(p, module, module_bytes, name, name_bytes);
}

static enum auricle_error op_stack_global(struct format_pickle *p)
{
    const value *name = pop(p), *module = pop(p);
    if (!name || !module || name->kind != FORMAT_PICKLE_STRING ||
        module->kind != FORMAT_PICKLE_STRING)
        return damaged(p, "names an object by something that is not text");
    return push_global(p, module->string.text, module->string.bytes, name->string.text,
                       name->string.bytes);
}

/* ('storage', class, key, device, number of elements) -> a storage, its bytes found by the key. */
static enum auricle_error op_persistent(struct format_pickle *p)
{
    enum auricle_error error;
    const value *id = pop(p);
    if (!id || id->kind != FORMAT_PICKLE_TUPLE || id->items.n < 5)
        return damaged(p, "refers to something outside that is not a storage");
    const value *type_name = item_at(id, 1), *key = item_at(id, 2), *count = item_at(id, 4);
    if (type_name->kind != FORMAT_PICKLE_GLOBAL || type_name->integer < STORAGE_FIRST ||
        key->kind != FORMAT_PICKLE_STRING || count->kind != FORMAT_PICKLE_INT || count->integer < 0)
        return damaged(p, "refers to something outside that is not a storage");

    enum format_type type = storage_types[type_name->integer - STORAGE_FIRST].type;
    size_t n_elements = (size_t)count->integer, bytes, held;
    const uint8_t *data;
    int shown = key->string.bytes < 40 ? (int)key->string.bytes : 40;
    if (!p->source(p->source_context, key->string.text, key->string.bytes, &data, &held))
        return au_fail(p->fault, AURICLE_E_FORMAT,
                       "the archive has no entry for storage '%.*s': the file is damaged", shown,
                       key->string.text);
    if (!au_mul_size(n_elements, format_type_block_bytes(type), &bytes) || bytes > held)
        return au_fail(p->fault, AURICLE_E_FORMAT,
                       "storage '%.*s' claims %zu elements of %s but its entry has %zu bytes: the "
                       "file is damaged",
                       shown, key->string.text, n_elements, format_type_name(type), held);
    value *v = new_value(p, FORMAT_PICKLE_STORAGE, &error);
    if (!v)
        return error;
    v->storage = (struct format_pickle_storage){type, data, n_elements};
    return push(p, v);
}

static bool read_sizes(const value *tuple, size_t out[FORMAT_MAX_DIMS])
{
    size_t i = 0;
    if (!tuple || tuple->kind != FORMAT_PICKLE_TUPLE || tuple->items.n > FORMAT_MAX_DIMS)
        return false;
    for (const struct format_pickle_item *item = tuple->items.first; item; item = item->next) {
        if (item->value->kind != FORMAT_PICKLE_INT || item->value->integer < 0)
            return false;
        out[i++] = (size_t)item->value->integer;
    }
    return true;
}

/* The furthest element lies inside the storage. */
static bool view_fits(const struct format_pickle_tensor *t)
{
    size_t last = t->offset;
    for (int i = 0; i < t->n_dims; i++) {
        size_t step;
        if (t->shape[i] == 0)
            return true; /* no element at all */
        if (!au_mul_size(t->shape[i] - 1, t->stride[i], &step) || !au_add_size(last, step, &last))
            return false;
    }
    return last < t->storage.n_elements;
}

/* (storage, offset, size, stride, ...): what follows concerns gradients. */
static enum auricle_error rebuild_tensor(struct format_pickle *p, const value *arguments)
{
    enum auricle_error error;
    const value *storage = item_at(arguments, 0), *offset = item_at(arguments, 1);
    const value *size = item_at(arguments, 2), *stride = item_at(arguments, 3);
    struct format_pickle_tensor *tensor = carve(p, sizeof *tensor);
    if (!tensor)
        return AURICLE_E_NOMEM;
    p->n_values += sizeof *tensor / sizeof(value); /* it weighs as much */
    memset(tensor, 0, sizeof *tensor);
    if (!storage || storage->kind != FORMAT_PICKLE_STORAGE || !offset ||
        offset->kind != FORMAT_PICKLE_INT || offset->integer < 0 ||
        !read_sizes(size, tensor->shape) || !read_sizes(stride, tensor->stride) ||
        size->items.n != stride->items.n)
        return damaged(p, "rebuilds a tensor from something else");
    tensor->storage = storage->storage;
    tensor->offset = (size_t)offset->integer;
    tensor->n_dims = (int)size->items.n;
    if (!view_fits(tensor))
        return damaged(p, "has a tensor that reaches outside its storage");
    value *v = new_value(p, FORMAT_PICKLE_TENSOR, &error);
    if (!v)
        return error;
    v->tensor = tensor;
    return push(p, v);
}

static enum auricle_error op_reduce(struct format_pickle *p)
{
    value *arguments = pop(p), *callable = pop(p);
    if (!arguments || arguments->kind != FORMAT_PICKLE_TUPLE || !callable ||
        callable->kind != FORMAT_PICKLE_GLOBAL)
        return damaged(p, "calls something that cannot be called");
    value *first = item_at(arguments, 0);
    switch (callable->integer) {
    case ORDERED_DICT:
        if (first)
            break;
        return push_empty(p, FORMAT_PICKLE_DICT);
    case REBUILD_TENSOR:
    case REBUILD_TENSOR_V2: return rebuild_tensor(p, arguments);
    case REBUILD_PARAMETER:
        if (!first || first->kind != FORMAT_PICKLE_TENSOR)
            break;
        return push(p, first);
    case TORCH_SIZE:
        if (!first || (first->kind != FORMAT_PICKLE_TUPLE && first->kind != FORMAT_PICKLE_LIST))
            break;
        return push(p, first);
    default: break;
    }
    return damaged(p, "calls a constructor with arguments it does not take");
}

/* Attributes of a dictionary (a state_dict has _metadata) are dropped; nothing else has any. */
static enum auricle_error op_build(struct format_pickle *p)
{
    const value *state = pop(p), *object = top(p);
    if (!state || !object)
        return damaged(p, "sets attributes of nothing");
    if (object->kind != FORMAT_PICKLE_DICT)
        return damaged(p, "sets attributes of something that has none");
    return AURICLE_OK;
}

/* ---- The machine ----------------------------------------------------------------------------- */

typedef enum auricle_error instruction(struct format_pickle *p);

static instruction *const instructions[256] = {
    ['('] = op_mark,          ['.'] = op_stop,        ['N'] = op_none,       [0x88] = op_true,
    [0x89] = op_false,        ['K'] = op_int8,        ['M'] = op_int16,      ['J'] = op_int32,
    [0x8a] = op_long,         ['G'] = op_real,        ['U'] = op_string8,    ['T'] = op_string32,
    ['X'] = op_string32,      [0x8c] = op_string8,    [0x8d] = op_string64,  ['C'] = op_string8,
    ['B'] = op_string32,      [')'] = op_empty_tuple, [0x85] = op_tuple1,    [0x86] = op_tuple2,
    [0x87] = op_tuple3,       ['t'] = op_tuple,       [']'] = op_empty_list, ['a'] = op_append,
    ['e'] = op_appends,       ['}'] = op_empty_dict,  ['s'] = op_set_item,   ['u'] = op_set_items,
    ['q'] = op_put8,          ['r'] = op_put32,       [0x94] = op_memoize,   ['h'] = op_get8,
    ['j'] = op_get32,         [0x80] = op_protocol,   [0x95] = op_frame,     ['c'] = op_global,
    [0x93] = op_stack_global, ['Q'] = op_persistent,  ['R'] = op_reduce,     ['b'] = op_build,
};

static enum auricle_error run(struct format_pickle *p)
{
    while (!p->root) {
        uint8_t code;
        if (!format_take_u8(&p->in, &code))
            return ends_early(p);
        if (!instructions[code])
            return au_fail(p->fault, AURICLE_E_UNSUPPORTED,
                           "data.pkl has the instruction 0x%02x at byte %zu, which a checkpoint of "
                           "tensors does not need: save the model's state_dict alone, or load its "
                           "safetensors file",
                           code, p->in.at - 1);
        enum auricle_error error = instructions[code](p);
        if (error)
            return error;
    }
    return AURICLE_OK;
}

enum auricle_error format_pickle_load(const uint8_t *data, size_t bytes,
                                      format_pickle_source *source, void *context,
                                      struct format_pickle **out, struct au_fault *fault)
{
    struct format_pickle *p = au_calloc(1, sizeof *p);
    if (!p)
        return au_fail(fault, AURICLE_E_NOMEM, "out of memory for the contents of the checkpoint");
    p->in = (struct format_cursor){data, bytes, 0};
    p->fault = fault;
    p->source = source;
    p->source_context = context;
    enum auricle_error error = run(p);
    p->fault = NULL;
    if (error) {
        format_pickle_free(p);
        return error;
    }
    *out = p;
    return AURICLE_OK;
}

void format_pickle_free(struct format_pickle *pickle)
{
    if (!pickle)
        return;
    for (struct block *block = pickle->blocks; block;) {
        struct block *next = block->next;
        au_free(block);
        block = next;
    }
    au_free(pickle->stack);
    au_free(pickle->memo);
    au_free(pickle);
}

const struct format_pickle_value *format_pickle_root(const struct format_pickle *pickle)
{
    return pickle->root;
}

const struct format_pickle_value *format_pickle_get(const struct format_pickle_value *dict,
                                                    const char *key)
{
    const struct format_pickle_value *found = NULL;
    size_t n = strlen(key);
    if (!dict || dict->kind != FORMAT_PICKLE_DICT)
        return NULL;
    for (const struct format_pickle_item *item = dict->items.first; item; item = item->next)
        if (item->key->kind == FORMAT_PICKLE_STRING && item->key->string.bytes == n &&
            memcmp(item->key->string.text, key, n) == 0)
            found = item->value;
    return found;
}
