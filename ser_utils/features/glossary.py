"""Unit, meaning and source of every functional, composed from terms of low-level descriptors (LLDs), frames and statistics.

Units: st is semitones; a level in dB is relative to the clip's active level; 1 is dimensionless; "per 10 ms" is per frame.
The texts are part of the output table ``functionals.csv``.
"""

from itertools import pairwise
from typing import NamedTuple

import librosa

from ser_utils.features.prosody import MODULATION_HZ
from ser_utils.features.spectra import CONTRAST_HZ, LOWEST_HZ, MEL_HZ, N_MELS, N_MFCC, SLOPE_HZ

REFERENCES = {
    "Banse 1996": "R. Banse, K. R. Scherer. Acoustic profiles in vocal emotion expression. J. Pers. Soc. Psychol. 70(3).",
    "Davis 1980": "S. B. Davis, P. Mermelstein. Comparison of parametric representations for monosyllabic word recognition "
    "in continuously spoken sentences. IEEE Trans. Acoust. Speech Signal Process. 28(4).",
    "De Cheveigné 2002": "A. de Cheveigné, H. Kawahara. YIN, a fundamental frequency estimator for speech and music. "
    "J. Acoust. Soc. Am. 111(4).",
    "De Jong 2009": "N. H. de Jong, T. Wempe. Praat script to detect syllable nuclei and measure speech rate automatically. "
    "Behav. Res. Methods 41(2).",
    "Dubnov 2004": "S. Dubnov. Generalization of spectral flatness measure for non-Gaussian linear processes. "
    "IEEE Signal Process. Lett. 11(8).",
    "Eyben 2016": "F. Eyben et al. The Geneva minimalistic acoustic parameter set (GeMAPS) for voice research and affective "
    "computing. IEEE Trans. Affect. Comput. 7(2).",
    "Frøkjær-Jensen 1976": "B. Frøkjær-Jensen, S. Prytz. Registration of voice quality. Brüel & Kjær Technical Review 3.",
    "Furui 1986": "S. Furui. Speaker-independent isolated word recognition using dynamic features of speech spectrum. "
    "IEEE Trans. Acoust. Speech Signal Process. 34(1).",
    "Goldman-Eisler 1968": "F. Goldman-Eisler. Psycholinguistics: experiments in spontaneous speech. Academic Press.",
    "Hammarberg 1980": "B. Hammarberg et al. Perceptual and acoustic correlates of abnormal voice qualities. "
    "Acta Oto-Laryngologica 90.",
    "Hanson 1997": "H. M. Hanson. Glottal characteristics of female speakers: acoustic correlates. J. Acoust. Soc. Am. 101(1).",
    "Hillenbrand 1994": "J. Hillenbrand, R. A. Cleveland, R. L. Erickson. Acoustic correlates of breathy vocal quality. "
    "J. Speech Hear. Res. 37(4).",
    "Houtgast 1985": "T. Houtgast, H. J. M. Steeneken. A review of the MTF concept in room acoustics and its use for "
    "estimating speech intelligibility in auditoria. J. Acoust. Soc. Am. 77(3).",
    "Jiang 2002": "D.-N. Jiang et al. Music type classification by spectral contrast feature. IEEE ICME 2002.",
    "Mauch 2014": "M. Mauch, S. Dixon. pYIN: a fundamental frequency estimator using probabilistic threshold distributions. "
    "IEEE ICASSP 2014.",
    "Mermelstein 1975": "P. Mermelstein. Automatic segmentation of speech into syllabic units. J. Acoust. Soc. Am. 58(4).",
    "Nolan 2003": "F. Nolan. Intonational equivalence: an experimental evaluation of pitch scales. ICPhS 2003.",
    "Peeters 2004": "G. Peeters. A large set of audio features for sound description in the CUIDADO project. IRCAM.",
    "Scheirer 1997": "E. Scheirer, M. Slaney. Construction and evaluation of a robust multifeature speech/music "
    "discriminator. IEEE ICASSP 1997.",
    "Slaney 1998": "M. Slaney. Auditory toolbox, version 2. Technical report 1998-010, Interval Research Corporation.",
    "Traunmüller 2000": "H. Traunmüller, A. Eriksson. Acoustic effects of variation in vocal effort by men, women, and "
    "children. J. Acoust. Soc. Am. 107(6).",
}
"""Papers by the short names used in `Term.source`."""


class Term(NamedTuple):
    """Description of a functional or an LLD."""

    unit: str
    meaning: str
    source: str
    """Keys of `REFERENCES`, joined by ``; ``."""


STATISTICS = {
    "mean": Term("{unit}", "mean of {lld} over the {frames} frames", ""),
    "std": Term("{unit}", "standard deviation of {lld} over the {frames} frames", ""),
    "p10": Term("{unit}", "10th percentile of {lld} over the {frames} frames", ""),
    "p90": Term("{unit}", "90th percentile of {lld} over the {frames} frames", ""),
    "delta": Term(
        "{unit} per 10 ms", "mean steepness (absolute slope over 50 ms) of {lld} in the {frames} frames", "Furui 1986"
    ),
    "slope": Term("{unit}/s", "slope of a straight line through {lld} in the {frames} frames", ""),
}
FRAMES = ("active", "voiced")
F0_SOURCE = "Mauch 2014; Nolan 2003"
QUARTERS = ("first", "second", "third", "last")


def terms() -> dict[str, Term]:
    """Return the terms of all functionals by name."""
    return f0_terms() | rhythm_terms() | energy_terms() | link_terms() | statistic_terms()


def lld_terms() -> dict[str, Term]:
    """Return the terms of the LLDs by name."""
    return tilt_and_shape_terms() | envelope_terms() | voice_quality_terms()


def tilt_and_shape_terms() -> dict[str, Term]:
    """Return the terms of the families tilt and shape."""
    terms = {
        "tilt_alpha": Term("dB", "alpha ratio: level of 1-5 kHz above that of 50-1000 Hz", "Frøkjær-Jensen 1976; Eyben 2016"),
        "tilt_hammarberg": Term(
            "dB", "Hammarberg index: highest level of 50-2000 Hz above that of 2-5 kHz", "Hammarberg 1980; Eyben 2016"
        ),
        "shape_centroid": Term("Hz", "spectral centroid", "Peeters 2004"),
        "shape_bandwidth": Term("Hz", "spread of the spectrum about its centroid", "Peeters 2004"),
        "shape_flatness": Term("dB", "spectral flatness of 100-5000 Hz (0 is noise, a tone is far below)", "Dubnov 2004"),
        "shape_flux": Term("1", "distance of a frame's normalised spectrum to the one before (0 to 1.41)", "Scheirer 1997"),
    }
    for low, high in SLOPE_HZ:
        terms[f"tilt_slope{high}"] = Term("dB/kHz", f"slope of the spectrum in {low}-{high} Hz", "Eyben 2016")
    for percent in (25, 50, 85):
        meaning = f"frequency under which {percent} % of the power above {LOWEST_HZ} Hz lies"
        terms[f"shape_rolloff{percent}"] = Term("Hz", meaning, "Peeters 2004")
    return terms


def envelope_terms() -> dict[str, Term]:
    """Return the terms of the families contrast, mfcc and mel."""
    terms = {}
    for i, (low, high) in enumerate(pairwise(CONTRAST_HZ)):
        terms[f"contrast_{i}"] = Term("dB", f"spectral contrast, peaks above valleys, in {low}-{high} Hz", "Jiang 2002")
    for i in range(1, N_MFCC + 1):
        terms[f"mfcc_{i}"] = Term(
            "dB", f"MFCC {i} (coefficient {i} of the cosine transform of the log-mel spectrum)", "Davis 1980"
        )
    for i, (low, high) in enumerate(mel_edges_hz()):
        terms[f"mel_{i}"] = Term("dB", f"log-mel level (per Hz) of {low:.0f}-{high:.0f} Hz", "Davis 1980; Slaney 1998")
    return terms


def mel_edges_hz() -> list[tuple[float, float]]:
    """Return the lower and upper edge in Hz of each pair of adjacent mel bands."""
    corners = librosa.mel_frequencies(N_MELS + 2, fmin=MEL_HZ[0], fmax=MEL_HZ[1])
    return [(corners[i], corners[i + 3]) for i in range(0, N_MELS, 2)]


def voice_quality_terms() -> dict[str, Term]:
    """Return the terms of the family quality."""
    return {
        "quality_cpp": Term("dB", "cepstral peak prominence (breathy or noisy is low)", "Hillenbrand 1994"),
        "quality_strength": Term("1", "1 less the aperiodicity at the period (0 is noise, 1 is periodic)", "De Cheveigné 2002"),
        "quality_h1h2": Term(
            "dB", "level of the first harmonic above the second (breathy is high, pressed low)", "Hanson 1997"
        ),
        "quality_h1h4": Term("dB", "level of the first harmonic above the fourth", "Hanson 1997"),
        "quality_h1a3": Term("dB", "level of the first harmonic above the highest peak of 2-3.5 kHz", "Hanson 1997"),
    }


def statistic_terms() -> dict[str, Term]:
    """Return the terms of every statistic of every LLD over active and voiced frames."""
    return {
        f"{name}_{frames}_{statistic}": Term(
            term.unit.format(unit=lld.unit),
            term.meaning.format(lld=lld.meaning, frames=frames),
            "; ".join(filter(None, (lld.source, term.source))),
        )
        for name, lld in lld_terms().items()
        for frames in FRAMES
        for statistic, term in STATISTICS.items()
    }


def link_terms() -> dict[str, Term]:
    """Return the terms of the family link: slope and correlation of each LLD with the level."""
    terms = {}
    for name, lld in {"f0": Term("st", "F0", F0_SOURCE), **lld_terms()}.items():
        source = f"{lld.source}; Traunmüller 2000"
        meaning = f"{lld.meaning}: change per 10 dB more level over the clip's voiced frames"
        terms[f"link_{name}_per_10db"] = Term(f"{lld.unit} per 10 dB", meaning, source)
        meaning = f"{lld.meaning}: correlation (-1 to 1) with the level over the clip's voiced frames"
        terms[f"link_{name}_corr"] = Term("1", meaning, source)
    return terms


def f0_terms() -> dict[str, Term]:
    """Return the terms of the family f0."""
    relative, absolute, step = "st", "st re 100 Hz", "st per 10 ms"
    terms = {
        "f0_abs_p50": (absolute, "median F0"),
        "f0_abs_mean": (absolute, "mean F0"),
        **{f"f0_abs_p{k}": (absolute, f"{k}th percentile of F0") for k in (10, 90)},
        **{f"f0_rel_p{k}": (relative, f"{k}th percentile of F0 above the clip's median") for k in (5, 10, 25, 75, 90, 95)},
        "f0_std": (relative, "standard deviation of F0"),
        "f0_range": (relative, "range of F0, 5th to 95th percentile"),
        "f0_skew": ("1", "skewness of F0 (above 0: high excursions from a low base)"),
        "f0_slope": ("st/s", "slope of a straight line through F0 (below 0: declination)"),
        **{
            f"f0_quarter{i}": (relative, f"mean F0 in the {q} quarter of the voiced span above the clip's")
            for i, q in enumerate(QUARTERS)
        },
        "f0_end": (relative, "mean F0 in the last 15 % of the voiced span above the clip's (above 0: a question or surprise)"),
        "f0_peak_position": ("1", "where the highest F0 is, 0 at the start and 1 at the end of the voiced span"),
        "f0_delta": (step, "mean size of F0 steps from one voiced frame to the next"),
        "f0_rising": ("1", "share of F0 steps that rise by more than 0.05 st"),
        "f0_delta_mean": (step, "mean F0 step, rises less falls"),
        "f0_jitter": ("st per (10 ms)²", "mean size of the change from one F0 step to the next (tremor, roughness)"),
        **{f"f0_delta_p{k}": (step, f"{k}th percentile of F0 steps ({what})") for k, what in ((10, "falls"), (90, "rises"))},
        "f0_segment_slope": ("st/s", "mean F0 slope within voiced segments"),
        "f0_segment_slope_std": ("st/s", "standard deviation of the F0 slopes of voiced segments"),
        "f0_segment_range": (relative, "mean F0 range within voiced segments, lowest to highest"),
    }
    return {name: Term(unit, meaning, f"{F0_SOURCE}; Banse 1996") for name, (unit, meaning) in terms.items()}


def rhythm_terms() -> dict[str, Term]:
    """Return the terms of the family rhythm."""
    voicing, pauses, peaks = "Eyben 2016", "Goldman-Eisler 1968", "Mermelstein 1975; De Jong 2009"
    return {
        "rhythm_log_duration": Term("ln s", "time from the first to the last active frame, natural logarithm", "Banse 1996"),
        "rhythm_voiced_share": Term("1", "share of frames that are voiced", voicing),
        "rhythm_active_share": Term("1", "share of frames that are active", pauses),
        "rhythm_voiced_of_active": Term("1", "voiced frames per active frame", voicing),
        "rhythm_voiced_rate": Term("1/s", "voiced segments a second", voicing),
        "rhythm_voiced_mean": Term("s", "mean length of voiced segments", voicing),
        "rhythm_voiced_std": Term("s", "standard deviation of the lengths of voiced segments", voicing),
        "rhythm_voiced_max": Term("s", "length of the longest voiced segment", voicing),
        "rhythm_unvoiced_mean": Term("s", "mean length of unvoiced segments, pauses among them", voicing),
        "rhythm_unvoiced_std": Term("s", "standard deviation of the lengths of unvoiced segments", voicing),
        "rhythm_pause_rate": Term("1/s", "pauses (inactive for 0.15 s or more) a second", pauses),
        "rhythm_pause_mean": Term("s", "mean length of pauses", pauses),
        "rhythm_pause_max": Term("s", "length of the longest gap between active frames", pauses),
        "rhythm_pause_share": Term("1", "share of time that is pauses", pauses),
        "rhythm_peak_rate": Term("1/s", "peaks of the energy (about one a syllable) a second", peaks),
        "rhythm_peak_db": Term("dB", "mean level of the peaks of the energy", peaks),
        "rhythm_peak_db_std": Term("dB", "standard deviation of the levels of the peaks (stress against no stress)", peaks),
    }


def energy_terms() -> dict[str, Term]:
    """Return the terms of the family energy."""
    terms = {
        **{f"energy_p{k}": ("dB", f"{k}th percentile of the level") for k in (5, 10, 25, 50, 75, 90, 95)},
        "energy_std": ("dB", "standard deviation of the level"),
        "energy_active_std": ("dB", "standard deviation of the level over the active frames"),
        "energy_voiced_std": ("dB", "standard deviation of the level over the voiced frames"),
        "energy_skew": ("1", "skewness of the level"),
        "energy_kurtosis": ("1", "kurtosis of the level (3 for a normal distribution)"),
        "energy_delta": ("dB per 10 ms", "mean size of the level's steps, smoothed over 50 ms"),
        "energy_delta_p10": ("dB per 10 ms", "10th percentile of the level's steps, smoothed over 50 ms (decays)"),
        "energy_delta_p90": ("dB per 10 ms", "90th percentile of the level's steps, smoothed over 50 ms (attacks)"),
        "energy_slope": ("dB/s", "slope of a straight line through the level"),
        **{f"energy_quarter{i}": ("dB", f"mean level of the {q} quarter above the clip's") for i, q in enumerate(QUARTERS)},
    }
    terms = {name: Term(unit, meaning, "Banse 1996; Eyben 2016") for name, (unit, meaning) in terms.items()}
    for low, high in pairwise(MODULATION_HZ):
        meaning = f"share of the amplitude's modulation that is at {low}-{high} Hz, natural logarithm"
        terms[f"energy_modulation_{high}hz"] = Term("ln", meaning, "Houtgast 1985")
    return terms
