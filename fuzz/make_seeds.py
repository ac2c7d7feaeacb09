#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets. Run as: make_seeds.py SOURCE_FOLDER OUTPUT_FOLDER

Small valid files of every kind, one folder per target: the nearer a seed is to what the parser
accepts, the deeper its damaged copies get.
"""

import base64
import io
import json
import pathlib
import pickle
import struct
import sys
import wave
import zipfile

WIDTH, MELS, FRAMES, VOCAB, TEXT = 8, 8, 4, 40, 8


def whisper_tensors():
    """(name after OpenAI, shape) of a Whisper with one layer on each side."""
    for side, positions, length in (('encoder', 'positional_embedding', FRAMES),
                                    ('decoder', 'positional_embedding', TEXT)):
        yield f'{side}.{positions}', (length, WIDTH)
        for norm in ('ln_post',) if side == 'encoder' else ('ln',):
            yield f'{side}.{norm}.weight', (WIDTH,)
            yield f'{side}.{norm}.bias', (WIDTH,)
        attentions = ('attn',) if side == 'encoder' else ('attn', 'cross_attn')
        for attention in attentions:
            block = f'{side}.blocks.0.{attention}'
            for part in ('query', 'key', 'value', 'out'):
                yield f'{block}.{part}.weight', (WIDTH, WIDTH)
                if part != 'key':
                    yield f'{block}.{part}.bias', (WIDTH,)
            yield f'{block}_ln.weight', (WIDTH,)
            yield f'{block}_ln.bias', (WIDTH,)
        block = f'{side}.blocks.0'
        yield f'{block}.mlp.0.weight', (4 * WIDTH, WIDTH)
        yield f'{block}.mlp.0.bias', (4 * WIDTH,)
        yield f'{block}.mlp.2.weight', (WIDTH, 4 * WIDTH)
        yield f'{block}.mlp.2.bias', (WIDTH,)
        yield f'{block}.mlp_ln.weight', (WIDTH,)
        yield f'{block}.mlp_ln.bias', (WIDTH,)
    yield 'encoder.conv1.weight', (WIDTH, MELS, 3)
    yield 'encoder.conv1.bias', (WIDTH, 1)
    yield 'encoder.conv2.weight', (WIDTH, WIDTH, 3)
    yield 'encoder.conv2.bias', (WIDTH, 1)
    yield 'decoder.token_embedding.weight', (VOCAB, WIDTH)


def size_of(shape):
    n = 1
    for axis in shape:
        n *= axis
    return n


def values(n):
    return [((i * 37) % 101 - 50) / 64 for i in range(n)]


def f32(n):
    return struct.pack(f'<{n}f', *values(n))


def f16(n):
    return struct.pack(f'<{n}e', *values(n))


def safetensors(tensors, kind='F32'):
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    for name, shape in tensors:
        raw = f32(size_of(shape)) if kind == 'F32' else f16(size_of(shape))
        header[name] = {'dtype': kind, 'shape': list(shape),
                        'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack('<Q', len(text)) + text + data


def ggml_data(kind, n):
    """Bytes of n elements: 0 f32, 1 f16, 2 q4_0, 6 q5_0, 8 q8_0 (blocks of 32)."""
    if kind == 0:
        return f32(n)
    if kind == 1:
        return f16(n)
    block = {2: 18, 3: 20, 6: 22, 7: 24, 8: 34}[kind]
    return (struct.pack('<e', 0.01) + bytes(range(block - 2))) * (n // 32)


def ggml(kind):
    dims = (VOCAB, FRAMES, WIDTH, 1, 1, TEXT, WIDTH, 1, 1, MELS, kind)
    out = struct.pack('<I11i', 0x67676d6c, *dims)
    out += struct.pack('<2i', MELS, 5) + f32(MELS * 5)
    out += struct.pack('<i', VOCAB)
    for i in range(VOCAB):
        token = f' t{i}'.encode()
        out += struct.pack('<i', len(token)) + token
    for name, shape in whisper_tensors():
        whole = len(shape) == 1 or 'bias' in name or 'positional' in name or shape[-1] % 32
        this = 0 if whole else kind
        raw_name = name.encode()
        out += struct.pack(f'<3i{len(shape)}i', len(shape), len(raw_name), this, *reversed(shape))
        out += raw_name + ggml_data(this, size_of(shape))
    return out


class Storage:
    """Stands for a tensor's storage: the pickler writes it as a persistent id."""

    def __init__(self, key, n):
        self.key, self.n = key, n


class TorchPickler(pickle._Pickler):  # the Python one: it lets us write names of absent modules
    def persistent_id(self, obj):
        if isinstance(obj, Storage):
            return ('storage', Global('torch', 'FloatStorage'), obj.key, 'cpu', obj.n)
        return None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            self.write(b'c' + obj.module.encode() + b'\n' + obj.name.encode() + b'\n')
        elif isinstance(obj, Tensor):
            self.save(Global('torch._utils', '_rebuild_tensor_v2'))
            self.save((obj.storage, 0, obj.shape, obj.strides(), False, {}))
            self.write(b'R')
        else:
            super().save(obj, save_persistent_id)


class Global:
    def __init__(self, module, name):
        self.module, self.name = module, name


class Tensor:
    def __init__(self, key, shape):
        self.storage, self.shape = Storage(key, size_of(shape)), shape

    def strides(self):
        out, step = [], 1
        for axis in reversed(self.shape):
            out.insert(0, step)
            step *= axis
        return tuple(out)


def checkpoint():
    """The pickle of a checkpoint and its tensors."""
    tensors = {name: Tensor(str(i), shape) for i, (name, shape) in enumerate(whisper_tensors())}
    dims = dict(n_mels=MELS, n_vocab=VOCAB, n_audio_ctx=FRAMES, n_audio_state=WIDTH, n_audio_head=1,
                n_audio_layer=1, n_text_ctx=TEXT, n_text_state=WIDTH, n_text_head=1, n_text_layer=1)
    text = io.BytesIO()
    TorchPickler(text, protocol=2).dump({'dims': dims, 'model_state_dict': tensors})
    return text.getvalue(), tensors.values()


def pytorch():
    text, tensors = checkpoint()
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w', zipfile.ZIP_STORED) as archive:
        archive.writestr('model/data.pkl', text)
        for tensor in tensors:
            archive.writestr(f'model/data/{tensor.storage.key}', f32(tensor.storage.n))
        archive.writestr('model/version', '3\n')
    return out.getvalue()


def ctranslate2():
    def text(value):
        return struct.pack('<H', len(value) + 1) + value.encode() + b'\0'
    out = struct.pack('<I', 6) + text('WhisperSpec') + struct.pack('<I', 3)
    tensors = list(whisper_tensors())
    out += struct.pack('<I', len(tensors))
    for name, shape in tensors:
        raw = f32(size_of(shape))
        out += text(name.replace('.', '/')) + struct.pack('<B', len(shape))
        out += struct.pack(f'<{len(shape)}I', *shape) + struct.pack('<BI', 0, len(raw)) + raw
    return out + struct.pack('<I', 0)


def recording(rate, channels, width, n):
    out = io.BytesIO()
    with wave.open(out, 'wb') as file:
        file.setframerate(rate)
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.writeframes(bytes((i * 31) % 256 for i in range(n * channels * width)))
    return out.getvalue()


def texts():
    yield 'numbers', (b"It's two and a half (x) dollars; 1,234.5% of $3 and 7 cents, the 21st. "
                      b"Double oh seven hundred million. Mr. Um's [noise]\0its two.5 dollars")
    yield 'scripts', ('Ünïcödé e\u0301 ΣΑΣ İ ﬁ ½ \u1112\u1161\u11ab 東京へ สวัสดี हिन्दी مرحبا '
                      '\U0001f468\u200d\U0001f469 ١٢٣\0東京 へ').encode()
    yield 'loop', b'thank you ' * 20 + b'\0' + b'\xff\xe4\xbd \xf0\x9f'
    yield 'object', json.dumps({'a': 0, 'Ġw': 1, '\n': [{}, 'x']}).encode()


def vocabularies():
    alphabet = [chr(c) for c in range(33, 127)]
    vocab = {token: i for i, token in enumerate([*alphabet, 'Ġ', 'Ċ', 'He', 'll', 'Ġw', 'Ã', '¶'])}
    special = ['<|endoftext|>', '<|startoftranscript|>', '<|en|>', '<|de|>', '<|translate|>',
               '<|transcribe|>', '<|startoflm|>', '<|startofprev|>', '<|nospeech|>',
               '<|notimestamps|>', '<|0.00|>', '<|0.02|>']
    added = [{'id': len(vocab) + i, 'content': token, 'special': True}
             for i, token in enumerate(special)]
    model = {'type': 'BPE', 'vocab': vocab, 'merges': ['H e', 'l l', 'Ġ w']}
    whole = dict(vocab, **{token['content']: token['id'] for token in added})
    tiktoken = b''.join(base64.b64encode(bytes([b])) + b' %d\n' % b for b in range(256))
    tiktoken += base64.b64encode(b'He') + b' 256\n' + base64.b64encode(b' w') + b' 257\n'
    yield 'tokenizer', b'j' + json.dumps({'added_tokens': added, 'model': model}).encode()
    yield 'vocab', b'v' + json.dumps(whole).encode()
    yield 'tiktoken', b't' + tiktoken


def forms():
    """Content-Type, a line feed, and the body."""
    part = 'Content-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    file = ('Content-Disposition: form-data; name="file"; filename="a.wav"; '
            "filename*=UTF-8''%%c3%%a9.wav\r\nContent-Type: audio/wav\r\n\r\nRI\r\n--F\nF\r\n")
    word = 'Content-Disposition: form-data; name=f; filename="=?utf-8?Q?=C3=A9?= =?utf-8?B?w6k=?="\n\nx\n'
    kind = 'multipart/form-data; boundary='
    yield 'form', kind + 'B\n' + ''.join('--B\r\n' + p for p in (
        part % ('model', 'tiny'), file.replace('%%', '%'), part % ('a[]', ''))) + '--B--\r\nend'
    yield 'feeds', kind + '"a b"; x=y\npre\n--a b \n' + word + '--a b--'
    yield 'cut', kind + 'B\n--B\r\n' + part % ('x', '\r\n--B-') + '--B-'


def fields():
    """Lines name=value."""
    yield 'openai', ('model=whisper-1\nlanguage=de\nprompt=Hallo \u00e9\nresponse_format=verbose_json\n'
                     'temperature=0.4\ntimestamp_granularities[]=word\ntimestamp_granularities=segment\n'
                     'keywords[]=Zug\nhotwords=Bahn, Hof\nbeam_size=5\nvad_filter=true\nprofile=strict')
    yield 'chunking', ('include[]=logprobs\nlanguages[]=de\nlanguages[]=english\nstream=false\nchunking_strategy='
                       '{"type": "server_vad", "prefix_padding_ms": 300, "threshold": 0.5}')
    yield 'nested', ('chunking_strategy[type]=server_vad\nchunking_strategy[threshold]=.25\n'
                     'chunking_strategy[silence_duration_ms]=200\nstream=true\nresponse_format=text')
    yield 'inference', ('temperature=0.0\ntemperature_inc=0.2\nresponse_format=srt\nbest_of=-1\noffset_t=10\n'
                        'duration=1000\nlanguage=auto\nvad=true\nvad_threshold=0.5\nmax_context=-1\ntranslate=1')


def targets():
    yield 'path', '/v1/models/openai%2Fwhisper%20%C3%A9?q=a+b&r=%26%3D&s&t='
    yield 'absolute', 'http://host:1/a/b//c/?x=1#y'
    yield 'query', '/?' + '&'.join(f'a{i}={i}' for i in range(64))


def wishes():
    """Settings of a live session."""
    yield 'message', ('{"type": "Configure", "encoding": "linear16", "sample_rate": 48000, "channels": 2, '
                      '"language": "auto", "languages": "de,en", "prompt": "Hallo", "keywords": ["Bahn", "Hof"], '
                      '"interim_results": false, "endpointing": 300, "vad_events": true, "words": null}')
    yield 'query', 'encoding=mulaw&sample_rate=8000&keyterm=a%20b&keyterm=c&endpointing=false&model=tiny&resume=x'
    yield 'container', '\x1aE\u07e3'
    yield 'list', '{"keywords": [], "endpointing": 1e1, "sample_rate": "16000", "word_timestamps": "no"}'


def varint(n):
    out = b''
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def proto(*members):
    """A message of (field number, value)."""
    out = b''
    for number, value in members:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        elif isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack('<d', value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def messages():
    raw = proto((1, 2), (2, 48000), (3, 2))
    config = proto((1, b'tiny'), (2, b'de'), (3, 1), (4, 2), (5, b'prompt'), (6, b'Bahn'), (6, b'Hof'), (7, 1),
                   (8, struct.pack('<ff', 0, 0.4)), (9, 5), (10, 0.5), (12, raw))
    yield 'config', b'\0' + config
    yield 'request', b'\1' + proto((1, config), (2, b'RIFF' * 40), (3, b'a.wav'), (99, b'later'))
    yield 'twice', b'\1' + proto((2, b'one'), (1, config), (2, b'two two'))
    yield 'listen', b'\2' + proto((1, proto((1, config), (2, raw))))
    yield 'audio', b'\2' + proto((2, bytes(range(256))))


def seeds(source):
    yield 'weights', 'safetensors', safetensors(whisper_tensors())
    yield 'weights', 'safetensors-f16', safetensors(whisper_tensors(), 'F16')
    for kind in (0, 1, 2, 8):
        yield 'weights', f'ggml-{kind}', ggml(kind)
    yield 'weights', 'pytorch', pytorch()
    yield 'weights', 'ctranslate2', ctranslate2()
    yield 'pickle', 'checkpoint', checkpoint()[0]
    yield 'pickle', 'values', pickle.dumps({'a': [1, 2.5, -300000, (None, True)], 'b': {'c': 'd'}}, 4)
    yield 'json', 'values', b'{"a": [1, -2.5e3, true, null, "x\\u00e9\\n"], "b": {"c": {}, "d": []}}'
    yield 'json', 'deep', b'[' * 90 + b'{"k": "\\\\"}' + b']' * 90
    yield 'json', 'config', json.dumps({'d_model': 8, 'suppress_tokens': [1, 2, 3],
                                        'lang_to_id': {'<|en|>': 5}}).encode()
    for i, text in enumerate(('500MB', '-9223372036854775808', '1.5e-3', '00:01:30.5', 'True',
                              'h\u00e9 \u65e5\u672c \U0001f600', '\x1b[31m')):
        yield 'str', str(i), text.encode()
    for name, data in vocabularies():
        yield 'vocab', name, data
    for name, data in texts():
        yield 'text', name, data
    for name, text in forms():
        yield 'multipart', name, text.encode()
    for name, text in fields():
        yield 'form', name, text.encode()
    for name, text in targets():
        yield 'target', name, text.encode()
    for name, text in wishes():
        yield 'live', name, text.encode()
    for name, data in messages():
        yield 'protobuf', name, data
    for rate, channels, width in ((16000, 1, 2), (44100, 2, 2), (8000, 1, 1), (48000, 1, 4)):
        yield 'audio', f'wav-{rate}-{width}', recording(rate, channels, width, 800)
    for name in ('talk.flac', 'talk.mp3', 'talk.opus'):
        yield 'audio', name, (source / 'demo' / name).read_bytes()[:6000]


def main():
    source, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    for target, name, data in seeds(source):
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (out / 'stamp').write_text('')


if __name__ == '__main__':
    main()
