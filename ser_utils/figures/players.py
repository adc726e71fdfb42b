"""Audio players in notebooks and reports."""

import base64
import html
import io

import librosa
import numpy as np
import soundfile as sf
from IPython.display import HTML


def audio_players(clips: dict[str, tuple[np.ndarray, int]], *, allowed: bool) -> HTML:
    """Audio players side by side, one per labelled clip, or the sentence that says why there are none.

    Parameters
    ----------
    clips : dict
        Label to (samples [shape=(n,)], sample rate in Hz). Played at 16 kHz, as MP3, to keep the page small.
    allowed : bool
        Whether the corpus' licence lets its audio be embedded, or the user has asked for it.
    """
    if not allowed:
        return HTML(
            "<p><em>No players here: the licence of this corpus does not let its audio be published. "
            "Set <code>EMBED_AUDIO = True</code> to listen on your own machine.</em></p>"
        )
    figures = []
    for label, (y, sr) in clips.items():
        mp3 = io.BytesIO()
        quiet = librosa.resample(y, orig_sr=sr, target_sr=16_000)
        sf.write(mp3, 0.9 * quiet / max(np.abs(quiet).max(), 1e-6), 16_000, format="MP3")
        data = base64.b64encode(mp3.getvalue()).decode("ascii")
        figures.append(
            f'<figure style="display:inline-block;margin:4px"><figcaption>{html.escape(label)}</figcaption>'
            f'<audio controls preload="none" src="data:audio/mpeg;base64,{data}"></audio></figure>'
        )
    return HTML("".join(figures))
