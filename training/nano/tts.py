"""Speech synthesisers of a Debian system, called in process: espeak-ng and flite.

Both return float32 in [-1, 1] and their own sample rate. One process, one thread: the libraries
keep global state. Festival (held-out voices) is run as a program over a whole list of sentences.
"""
import ctypes as C
import os
import subprocess
import tempfile

import numpy as np

# Voice variants of espeak-ng. The held-out ones are never used for training clips.
ESPEAK_TEST_VARIANTS = ["f2", "m4", "steph2", "Hugo", "Michael", "klatt5"]
ESPEAK_VARIANTS = (
    "Alex Alicia Andrea Andy Annie Denis Diogo Gene Gene2 Henrique Jacky Lee Marco Mario Mike Mr "
    "Nguyen Tweaky adam anika announcer antonio aunty belinda benjamin boris caleb david ed edward "
    "edward2 f1 f3 f4 f5 grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta klatt klatt2 "
    "klatt3 klatt4 klatt6 linda m1 m2 m3 m5 m6 m7 m8 marcelo max michel miguel norbert pablo paul "
    "pedro quincy rob robert sandro shelby steph steph3 travis victor zac").split()
ESPEAK_ENGLISH = ["en-us"] * 8 + ["en-gb"] * 2 + ["en-gb-x-rp", "en-gb-scotland", "en-029",
                                                  "en-us-nyc", "en-gb-x-gbclan", "en-gb-x-gbcwmd"]
ESPEAK_LANG = {"de": ["de"], "fr": ["fr-fr", "fr-be", "fr-ch"], "es": ["es", "es-419"], "it": ["it"],
               "pt": ["pt", "pt-br"], "nl": ["nl"], "pl": ["pl"], "ru": ["ru"], "ar": ["ar"]}


class Espeak:
    RATE, PITCH, RANGE = 1, 3, 4

    def __init__(self):
        self.lib = C.CDLL("libespeak-ng.so.1")
        self.rate = self.lib.espeak_Initialize(2, 200, None, 0)
        self.parts = []
        kind = C.CFUNCTYPE(C.c_int, C.POINTER(C.c_short), C.c_int, C.c_void_p)
        self._callback = kind(self._collect)  # kept: the library holds only the pointer
        self.lib.espeak_SetSynthCallback(self._callback)
        self.lib.espeak_TextToPhonemes.restype = C.c_char_p
        self.lib.espeak_TextToPhonemes.argtypes = [C.POINTER(C.c_char_p), C.c_int, C.c_int]

    def _collect(self, samples, n, _events):
        if samples and n > 0:
            self.parts.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0

    def voice(self, name, rate=175, pitch=50, spread=50):
        # A variant may refuse a name it does not know; the language alone always works.
        if self.lib.espeak_SetVoiceByName(name.encode()) != 0:
            self.lib.espeak_SetVoiceByName(name.split("+")[0].encode())
        self.lib.espeak_SetParameter(self.RATE, int(rate), 0)
        self.lib.espeak_SetParameter(self.PITCH, int(pitch), 0)
        self.lib.espeak_SetParameter(self.RANGE, int(spread), 0)

    def say(self, text):
        data = text.encode()
        self.parts.clear()
        self.lib.espeak_Synth(data, len(data) + 1, 0, 0, 0, 1, None, None)
        self.lib.espeak_Synchronize()
        if not self.parts:
            return np.zeros(0, np.float32), self.rate
        return np.concatenate(self.parts).astype(np.float32) / 32768, self.rate

    def ipa(self, text, voice):
        self.lib.espeak_SetVoiceByName(voice.encode())
        at, out = C.c_char_p(text.encode()), []
        while at.value:
            out.append(self.lib.espeak_TextToPhonemes(C.byref(at), 1, 2).decode())
        return " ".join(out)


class _FliteVoice(C.Structure):
    _fields_ = [("name", C.c_char_p), ("features", C.c_void_p)]


class _FliteWave(C.Structure):
    _fields_ = [("type", C.c_char_p), ("rate", C.c_int), ("n", C.c_int), ("channels", C.c_int),
                ("samples", C.POINTER(C.c_short))]


class Flite:
    MEAN_F0 = {"slt": 170.0, "rms": 95.0, "awb": 127.0, "kal16": 95.0}

    def __init__(self):
        self.lib = C.CDLL("libflite.so.1")
        self.lib.flite_init()
        self.lib.feat_set_float.argtypes = [C.c_void_p, C.c_char_p, C.c_float]
        self.lib.flite_text_to_wave.restype = C.POINTER(_FliteWave)
        self.lib.flite_text_to_wave.argtypes = [C.c_char_p, C.c_void_p]
        self.lib.delete_wave.argtypes = [C.c_void_p]
        self.voices = {}
        for name in self.MEAN_F0:
            register = getattr(C.CDLL(f"libflite_cmu_us_{name}.so.1"), f"register_cmu_us_{name}")
            register.restype = C.POINTER(_FliteVoice)
            self.voices[name] = register(None)

    def say(self, text, voice, stretch=1.0, f0=1.0):
        v = self.voices[voice]
        self.lib.feat_set_float(v.contents.features, b"duration_stretch", stretch)
        self.lib.feat_set_float(v.contents.features, b"int_f0_target_mean", self.MEAN_F0[voice] * f0)
        wave = self.lib.flite_text_to_wave(text.encode("ascii", "ignore"), v)
        w = wave.contents
        out = np.ctypeslib.as_array(w.samples, (w.n,)).astype(np.float32) / 32768
        rate = w.rate
        self.lib.delete_wave(wave)
        return out, rate


def festival(sentences, voice):
    """All sentences by one festival voice, as [(samples, rate)]."""
    from . import audio
    out = []
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"(voice_{voice})"]
        for i, text in enumerate(sentences):
            plain = text.encode("ascii", "ignore").decode().replace('"', " ").replace("\\", " ")
            lines.append(f'(utt.save.wave (utt.synth (Utterance Text "{plain}")) '
                         f'"{folder}/{i}.wav" \'riff)')
        script = os.path.join(folder, "all.scm")
        with open(script, "w", encoding="ascii") as f:
            f.write("\n".join(lines) + "\n")
        subprocess.run(["festival", "-b", script], check=True, stdout=subprocess.DEVNULL)
        for i in range(len(sentences)):
            out.append((audio.load(os.path.join(folder, f"{i}.wav")), 16000))
    return out
