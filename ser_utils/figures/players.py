"""Audio players for notebooks and reports."""

import base64
import html
import io

import librosa
import numpy as np
import soundfile as sf
from IPython.display import HTML


def audio_players(clips: dict[str, tuple[np.ndarray, int]], *, allowed: bool) -> HTML:
    """Return audio players side by side, one per clip, or a sentence with the reason if the audio may not be embedded.

    Parameters
    ----------
    clips : dict
        Label to (samples [shape=(n,)], sample rate in Hz). The players embed MP3 at 16 kHz, to keep the page small.
    allowed : bool
        Whether the licence of the corpus allows its audio to be embedded, or the user requests it.
    """
    if not allowed:
        return HTML(
            "<p><em>Audio is not embedded: the licence of this corpus does not allow its publication. "
            "Set <code>EMBED_AUDIO = True</code> to embed it in your own copy.</em></p>"
        )
    players = []
    for label, (y, sr) in clips.items():
        mp3 = io.BytesIO()
        resampled = librosa.resample(y, orig_sr=sr, target_sr=16_000)
        sf.write(mp3, 0.9 * resampled / max(np.abs(resampled).max(), 1e-6), 16_000, format="MP3")
        data = base64.b64encode(mp3.getvalue()).decode("ascii")
        players.append(
            f'<figure style="display:inline-block;margin:4px"><figcaption>{html.escape(label)}</figcaption>'
            f'<audio controls preload="none" src="data:audio/mpeg;base64,{data}"></audio></figure>'
        )
    return HTML("".join(players))
