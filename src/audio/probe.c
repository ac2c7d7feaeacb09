/* Content detection. See probe.h. */
#include "audio/probe.h"

#include <stddef.h>
#include <string.h>

#define HEAD_BYTES     512
#define MAX_WAV_CHUNKS 256

struct signature {
    size_t offset, bytes;
    const char *magic;
    enum audio_kind kind;
    const char *text;
};

static const struct signature signatures[] = {
    {0, 4, "RF64", AUDIO_KIND_SNDFILE, "RF64"},
    {0, 4, "fLaC", AUDIO_KIND_SNDFILE, "FLAC"},
    {0, 4, "OggS", AUDIO_KIND_OGG, "Ogg"},
    {0, 4, "FORM", AUDIO_KIND_SNDFILE, "AIFF"},
    {0, 4, "caff", AUDIO_KIND_SNDFILE, "CAF"},
    {0, 4, ".snd", AUDIO_KIND_SNDFILE, "AU"},
    {0, 12, "riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", AUDIO_KIND_SNDFILE, "Wave64"},
    {0, 3, "ID3", AUDIO_KIND_MP3, "MP3 (ID3 tag)"},
    {4, 4, "ftyp", AUDIO_KIND_MP4, "MP4"},
    {4, 4, "moov", AUDIO_KIND_MP4, "QuickTime"},
    {4, 4, "mdat", AUDIO_KIND_MP4, "QuickTime"},
    {0, 4, "\x1a\x45\xdf\xa3", AUDIO_KIND_FFMPEG, "Matroska"},
    {0, 5, "#!AMR", AUDIO_KIND_FFMPEG, "AMR"},
    {0, 8, "\x30\x26\xb2\x75\x8e\x66\xcf\x11", AUDIO_KIND_FFMPEG, "ASF (WMA)"},
    {0, 3, "FLV", AUDIO_KIND_FFMPEG, "FLV"},
    {0, 4, "PK\x03\x04", AUDIO_KIND_NOT_AUDIO, "a ZIP archive"},
    {0, 3, "\x1f\x8b\x08", AUDIO_KIND_NOT_AUDIO, "gzip-compressed data"},
    {0, 6,
     "\xfd"
     "7zXZ",
     AUDIO_KIND_NOT_AUDIO, "xz-compressed data"},
    {0, 4, "\x28\xb5\x2f\xfd", AUDIO_KIND_NOT_AUDIO, "zstd-compressed data"},
    {0, 5, "%PDF-", AUDIO_KIND_NOT_AUDIO, "a PDF document"},
    {0, 4, "\x89PNG", AUDIO_KIND_NOT_AUDIO, "a PNG image"},
    {0, 3, "\xff\xd8\xff", AUDIO_KIND_NOT_AUDIO, "a JPEG image"},
    {0, 4, "GIF8", AUDIO_KIND_NOT_AUDIO, "a GIF image"},
    {0, 4,
     "\x7f"
     "ELF",
     AUDIO_KIND_NOT_AUDIO, "an ELF program"},
    {0, 4, "MThd", AUDIO_KIND_NOT_AUDIO, "a MIDI score"},
};

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int le16(const uint8_t *p)
{
    return p[0] | p[1] << 8;
}

/* Two MPEG audio frame headers in a row that agree (a lone sync word also occurs in noise). ADTS
 * AAC shares the sync word and has layer 0; FFmpeg reads it.                                     */
static bool looks_like_mp3(const uint8_t *head, size_t n)
{
    return n >= 4 && head[0] == 0xff && (head[1] & 0xe0) == 0xe0 && (head[1] & 0x06) != 0 &&
           (head[1] & 0x18) != 0x08 && (head[2] & 0xf0) != 0xf0 && (head[2] & 0x0c) != 0x0c;
}

static bool looks_like_text(const uint8_t *head, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((head[i] < 0x20 && !memchr("\t\n\r\f\x1b", head[i], 5)) || head[i] == 0x7f)
            return false;
    return n > 0;
}

/* A size of 0 or near a power of two is what a program writes that cannot go back to correct it.
 * After 0 there may also be nothing but another chunk: then the recording really is empty.       */
static bool is_placeholder(struct audio_input *input, uint32_t size, uint64_t begin)
{
    static const char *const others[] = {"LIST", "id3 ", "ID3 ", "bext", "cue ", "fact"};
    char next[4];
    if (size >= 0xffffff00u || size == 0x7ffff000u || size == 0x7fffffffu || size == 0x80000000u)
        return true;
    if (size != 0 || audio_input_read(input, begin, next, sizeof next) < sizeof next)
        return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (memcmp(next, others[i], sizeof next) == 0)
            return false;
    return true;
}

/* Walk the chunks up to "data". Nothing is believed beyond the bytes that exist. */
static void probe_wav(struct audio_input *input, struct audio_probe *out)
{
    uint64_t at = 12;
    uint8_t chunk[8], format[16];
    bool have_format = false;
    for (int i = 0; i < MAX_WAV_CHUNKS; i++) {
        if (audio_input_read(input, at, chunk, sizeof chunk) < sizeof chunk)
            return;
        uint32_t size = le32(chunk + 4);
        if (memcmp(chunk, "fmt ", 4) == 0 && size >= sizeof format &&
            audio_input_read(input, at + 8, format, sizeof format) == sizeof format) {
            out->wav.format_tag = le16(format);
            out->wav.channels = le16(format + 2);
            out->wav.rate_hz = le32(format + 4);
            out->wav.frame_bytes = le16(format + 12);
            out->wav.bits = le16(format + 14);
            have_format = true;
        } else if (memcmp(chunk, "data", 4) == 0) {
            uint64_t total = 0, begin = at + 8;
            out->wav.arriving = !audio_input_size(input, &total);
            out->wav.found = have_format;
            out->wav.size_at = at + 4;
            out->wav.claimed_bytes = size;
            out->wav.stored_bytes = total > begin ? total - begin : 0;
            out->wav.streamed = is_placeholder(input, size, begin);
            return;
        }
        at += 8 + (uint64_t)size + (size & 1);
    }
}

void audio_probe(struct audio_input *input, struct audio_probe *out)
{
    uint8_t head[HEAD_BYTES];
    memset(out, 0, sizeof *out);
    size_t n = audio_input_read(input, 0, head, sizeof head);
    out->text = "data of an unknown kind";
    if (n == 0) {
        out->kind = AUDIO_KIND_EMPTY;
        return;
    }
    if (n >= 12 && memcmp(head, "RIFF", 4) == 0 && memcmp(head + 8, "WAVE", 4) == 0) {
        out->kind = AUDIO_KIND_WAV;
        out->text = "WAV";
        probe_wav(input, out);
        return;
    }
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++) {
        const struct signature *s = &signatures[i];
        if (n >= s->offset + s->bytes && memcmp(head + s->offset, s->magic, s->bytes) == 0) {
            out->kind = s->kind;
            out->text = s->text;
            return;
        }
    }
    if (looks_like_mp3(head, n)) {
        out->kind = AUDIO_KIND_MP3;
        out->text = "MP3";
    } else if (looks_like_text(head, n)) {
        out->kind = AUDIO_KIND_NOT_AUDIO;
        out->text = "plain text";
    }
}
