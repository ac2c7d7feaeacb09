"""Weights in and out of the Hugging Face folder form of Whisper."""
import json
import os

import numpy as np
import torch

from . import bpe
from . import model as M
from . import safetensors


def read_weights(folder, flat, size):
    """(Size, flat vector, names of tensors that the folder lacks); `flat` is filled from an exported folder,
    and keeps its values of what the folder lacks."""
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as f:
        config = json.load(f)
    size = M.Size(width=config["d_model"], heads=config["encoder_attention_heads"],
                  encoder_layers=config["encoder_layers"], decoder_layers=config["decoder_layers"],
                  ffn=config["encoder_ffn_dim"], vocab=config["vocab_size"])
    if flat is None or flat.numel() != M.count(size):
        flat = M.initialise(size, 0)
    tensors = safetensors.load(os.path.join(folder, "model.safetensors"))
    wanted = M.views(flat, size)
    for name, t in wanted.items():
        if name in tensors:
            t.copy_(torch.from_numpy(np.ascontiguousarray(tensors[name])))
    return size, flat, [name for name in wanted if name not in tensors]


CHUNK_S = 8  # of speech in a window: full ones are read worse, see the card
BEAMS = 5


_NON_SPEECH = list('"#()*+/:;<=>@[\\]^_`{|}~「」『』') + (
    "<< >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪").split()


def suppressed(tok):
    """Whisper's list for this vocabulary: pieces that are no speech, and the control tokens."""
    ids = {tok.encode(s)[0] for s in (" -", " '") if len(tok.encode(s)) == 1}
    for s in _NON_SPEECH:
        for form in (s, " " + s):
            if len(tok.encode(form)) == 1:
                ids.add(tok.encode(form)[0])
    s = tok.special
    control = [s[f"<|{n}|>"] for n in ("startoftranscript", "translate", "transcribe", "startoflm",
                                       "startofprev", "nospeech")]
    return sorted(ids) + control


def write_folder(folder, size, flat, tok, alignment_heads, metadata):
    """The whole Hugging Face folder; both CTC heads are extra tensors, for training to be taken up again."""
    os.makedirs(folder, exist_ok=True)
    tensors = {k: v.numpy() for k, v in M.views(flat, size).items()}
    tensors["model.encoder.embed_positions.weight"] = M.sinusoids(size.n_audio, size.width).numpy()
    safetensors.save(os.path.join(folder, "model.safetensors"), tensors, "BF16", metadata)
    tok.save(folder)
    suppress, begin = suppressed(tok), [tok.encode(" ")[0], tok.eot]
    ids = {"bos_token_id": tok.eot, "eos_token_id": tok.eot, "pad_token_id": tok.eot}
    config = {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper",
        "torch_dtype": "bfloat16", "activation_function": "gelu", "activation_dropout": 0.0,
        "attention_dropout": 0.0, "dropout": 0.0, "init_std": 0.02, "d_model": size.width,
        "encoder_layers": size.encoder_layers, "encoder_attention_heads": size.heads,
        "encoder_ffn_dim": size.ffn, "encoder_layerdrop": 0.0, "decoder_layers": size.decoder_layers,
        "decoder_attention_heads": size.heads, "decoder_ffn_dim": size.ffn, "decoder_layerdrop": 0.0,
        "num_hidden_layers": size.encoder_layers, "num_mel_bins": size.n_mels,
        "max_source_positions": size.n_audio, "max_target_positions": size.n_text,
        "vocab_size": size.vocab, "scale_embedding": False, "is_encoder_decoder": True,
        "use_cache": True, "max_length": size.n_text, "tie_word_embeddings": True, **ids,
        "decoder_start_token_id": tok.sot, "begin_suppress_tokens": begin,
        "suppress_tokens": suppress}
    generation = {
        "alignment_heads": alignment_heads, "begin_suppress_tokens": begin,
        "suppress_tokens": suppress, **ids, "decoder_start_token_id": tok.sot,
        "is_multilingual": True, "no_timestamps_token_id": tok.no_timestamps,
        "prev_sot_token_id": tok.prev, "max_initial_timestamp_index": 50, "max_length": size.n_text,
        "chunk_length_s": CHUNK_S, "num_beams": BEAMS, "return_timestamps": False,
        "task_to_id": {"transcribe": tok.transcribe, "translate": tok.special["<|translate|>"]},
        "lang_to_id": {f"<|{c}|>": tok.language(c) for c in bpe.LANGUAGES}}
    processor = {
        "feature_extractor_type": "WhisperFeatureExtractor", "processor_class": "WhisperProcessor",
        "feature_size": 80, "sampling_rate": 16000, "hop_length": 160, "n_fft": 400,
        "chunk_length": 30, "n_samples": 480000, "nb_max_frames": 3000, "padding_side": "right",
        "padding_value": 0.0, "return_attention_mask": False}
    end = "<|endoftext|>"
    words = {"tokenizer_class": "WhisperTokenizer", "add_prefix_space": False, "errors": "replace",
             "model_max_length": 1024, "bos_token": end, "eos_token": end, "unk_token": end,
             "pad_token": end}
    for name, value in (("config", config), ("generation_config", generation),
                        ("preprocessor_config", processor), ("tokenizer_config", words)):
        with open(os.path.join(folder, name + ".json"), "w", encoding="utf-8") as f:
            json.dump(value, f, indent=1)
            f.write("\n")
