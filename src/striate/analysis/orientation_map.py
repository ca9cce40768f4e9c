"""Maps of preferred orientation on a sheet: of learned units, or of cortex as optical imaging measures it.

A map is a complex array z = r·exp(2iθ): the angle is twice the preferred orientation θ, so that orientations that
differ by half a turn are the same, and the modulus r says how selective the place is. One gets it by adding up the
responses to gratings, each times exp(2i·orientation of the grating).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from striate.errors import UsageError
from striate.parameters import Boolean, Instance, IntegerTuple, Real, checked
from striate.randomness import RandomState, generator_from
from striate.samples import as_array

__all__ = ["OrientationMap", "checked_map", "gaussian_map", "phase_randomized", "shuffled"]

_EDGE = 0.05  # width of a filter's edge relative to its frequency, as in Kaschube et al.

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class OrientationMap:
    """Orientation responses z = r·exp(2iθ) on a sheet of any size.

    Parameters
    ----------
    responses : complex (height, width)
        At least 2×2. θ is the orientation of the preferred bar or edge in radians, from the x axis (to the right)
        towards the y axis (downwards): clockwise as an image is seen, as everywhere in striate. For a map whose angles
        are measured counterclockwise, give the conjugate; otherwise the charges of pinwheels change their names.
    periodic : bool, default False
        The sheet is a torus: the last row is a neighbor of the first, and the last column of the first.
    mask : bool (height, width), optional
        The region of interest; what is outside of it may be NaN and is left out of every measurement.

    Attributes
    ----------
    responses : complex128 (height, width)
        0 outside of the mask.
    mask : bool (height, width)
        All True if none was given.

    Raises
    ------
    UsageError
        For anything that is not a complex or real table, or a response in the mask that is not finite.

    Examples
    --------
    One pinwheel in the middle of a sheet:

    >>> import numpy as np
    >>> y, x = np.mgrid[:8, :8] - 3.5
    >>> one = OrientationMap(x + 1j * y)
    >>> np.degrees(one.orientation[4, 4:]).round()
    array([22.,  9.,  6.,  4.])
    """

    responses: NDArray[Any]
    periodic: bool = False
    mask: NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        """Check and convert; the arrays are copies that cannot be changed."""
        responses = _as_complex(self.responses)
        mask = _as_mask(self.mask, responses.shape)
        wrong = mask & ~np.isfinite(responses)
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            raise UsageError(
                f"responses hold NaN or infinity, first at row {row}, column {column}; to leave such places out, give "
                "mask=np.isfinite(responses)"
            )
        if not mask.any():
            raise UsageError("the mask leaves nothing of the map: it must be True where the map counts")
        responses = np.where(mask, responses, 0)
        for array in (responses, mask):
            array.flags.writeable = False
        object.__setattr__(self, "responses", responses)
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "periodic", checked("periodic", self.periodic, Boolean()))

    @classmethod
    def of(
        cls,
        orientation: ArrayLike,
        selectivity: ArrayLike | None = None,
        *,
        periodic: bool = False,
    ) -> OrientationMap:
        """A map from orientations in radians, NaN where there is none, and their selectivity.

        Parameters
        ----------
        orientation : float (height, width)
            Places with NaN are outside of the mask.
        selectivity : float (height, width), optional
            At least 0; by default 1 everywhere.
        periodic : bool, default False
        """
        angles = as_array(orientation, name="orientations", axes=("height", "width"), finite=False).astype(np.float64)
        mask = np.isfinite(angles)
        strength: Any = 1.0
        if selectivity is not None:
            strength = as_array(selectivity, name="selectivities", axes=angles.shape, finite=False).astype(np.float64)
            mask &= np.isfinite(strength)
            strength = np.where(mask, strength, 0)
            if strength.min() < 0:
                raise UsageError("selectivities are at least 0; an orientation has no negative one")
        return cls(strength * np.exp(2j * np.where(mask, angles, 0)), periodic, mask)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.responses.shape
        return height, width

    @property
    def orientation(self) -> Floats:
        """Preferred orientations in radians, (height, width), in [0, π); NaN outside of the mask."""
        angles = np.angle(self.responses) / 2 % np.pi
        return np.where(self.inside, np.where(angles < np.pi, angles, 0), np.nan)

    @property
    def selectivity(self) -> Floats:
        """The modulus of the responses, (height, width); NaN outside of the mask."""
        return np.where(self.inside, np.abs(self.responses), np.nan)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """The mask."""
        assert self.mask is not None
        return self.mask

    def filtered(self, *, shortest: float | None = None, longest: float | None = None) -> OrientationMap:
        """The map without waves that are shorter, or longer, than a wavelength in pixels.

        The filter is Fermi's function of the frequency, which falls from 1 to 0 over a tenth of the cut-off. Open maps
        are continued by reflection; near a mask, the mean is taken over what is inside.

        Parameters
        ----------
        shortest, longest : float, optional
            Wavelengths in pixels above 0.

        References
        ----------
        Kaschube et al., "Universality in the evolution of orientation columns in the visual cortex", Science 2010,
        supplement.
        """
        shortest = checked("shortest", shortest, Real(above=0) | None)
        longest = checked("longest", longest, Real(above=0) | None)
        if shortest is not None and longest is not None and shortest >= longest:
            raise UsageError(
                f"shortest is {shortest:g} and longest {longest:g}; the shortest must be below the longest"
            )
        found = self.responses
        if longest is not None:
            found = found - self._low_pass(found, 1 / longest)
        if shortest is not None:
            found = self._low_pass(found, 1 / shortest)
        return OrientationMap(found, self.periodic, self.mask)

    def _low_pass(self, values: Complexes, frequency: float) -> Complexes:
        smooth = self._weighted_spectrum(values * self.inside, frequency)
        if self.inside.all():
            return smooth
        covered = self._weighted_spectrum(self.inside.astype(np.complex128), frequency).real
        return np.where(self.inside, smooth / np.maximum(covered, 0.1), 0)

    def _weighted_spectrum(self, values: Complexes, frequency: float) -> Complexes:
        from scipy.fft import dctn, fft2, idctn, ifft2
        from scipy.special import expit

        if self.periodic:
            radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, self.shape), indexing="ij"))
        else:  # the cosine transform continues the map by reflection
            radius = np.hypot(*np.meshgrid(*(np.arange(n) / (2 * n) for n in self.shape), indexing="ij"))
        weight = expit((frequency - radius) / (_EDGE * frequency))
        if self.periodic:
            periodic: Complexes = ifft2(fft2(values) * weight)
            return periodic
        real, imaginary = (
            idctn(dctn(part, norm="ortho") * weight, norm="ortho") for part in (values.real, values.imag)
        )
        reflected: Complexes = real + 1j * imaginary
        return reflected


def shuffled(orientation_map: OrientationMap, *, random_state: RandomState = None) -> OrientationMap:
    """The same responses at random places: a control without any order.

    Parameters
    ----------
    orientation_map : OrientationMap
        Places outside of its mask stay there.
    random_state : int, Generator, RandomState or None
    """
    given = checked_map(orientation_map)
    responses = given.responses.copy()
    responses[given.inside] = generator_from(random_state).permutation(responses[given.inside])
    return OrientationMap(responses, given.periodic, given.mask)


def phase_randomized(orientation_map: OrientationMap, *, random_state: RandomState = None) -> OrientationMap:
    """A random map with the same power spectrum: each coefficient of its Fourier transform gets a random phase.

    What this control has in common with the map (column spacing, and nearly always the density of pinwheels) follows
    from the spectrum alone, and is no sign of more order than that.

    Parameters
    ----------
    orientation_map : OrientationMap
        The spectrum is kept exactly for a periodic map. An open one is treated as if it were periodic; what is outside
        of a mask counts as 0, and is left out again.
    random_state : int, Generator, RandomState or None

    References
    ----------
    Theiler et al., "Testing for nonlinearity in time series: the method of surrogate data", Physica D 1992. Wolf &
    Geisel, "Spontaneous pinwheel annihilation during visual development", Nature 1998, for the comparison with random
    maps.
    """
    given = checked_map(orientation_map)
    rng = generator_from(random_state)
    turns = np.exp(2j * np.pi * rng.random(given.shape))
    turns[0, 0] = 1  # the mean
    return OrientationMap(np.fft.ifft2(np.fft.fft2(given.responses) * turns), given.periodic, given.mask)


def gaussian_map(
    shape: tuple[int, int], spacing: float, *, spread: float = 0.2, random_state: RandomState = None
) -> OrientationMap:
    """A random periodic map: a Gaussian field with a ring as its spectrum.

    Its pinwheels have the density π·⟨k²⟩/⟨k⟩² per squared column spacing 1/⟨k⟩, at least π: see `gaussian_density`.

    Parameters
    ----------
    shape : (int, int)
        Height and width in pixels.
    spacing : float
        Pixels from one column to the next of the same orientation, at least 2: the inverse of the ring's radius.
    spread : float, default 0.2
        Width of the ring (standard deviation) relative to its radius. Maps of cortex have about 0.2.
    random_state : int, Generator, RandomState or None
    """
    shape = checked("shape", shape, IntegerTuple(2, low=2))
    spacing = checked("spacing", spacing, Real(low=2))
    spread = checked("spread", spread, Real(above=0))
    radius = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, shape), indexing="ij"))
    amplitude = np.exp(-np.square((radius * spacing - 1) / spread) / 4)
    amplitude[0, 0] = 0
    if not amplitude.any():
        raise UsageError(f"a map of {shape[0]}×{shape[1]} has no wave of {spacing:g} pixels ± {100 * spread:g} %")
    parts = generator_from(random_state).standard_normal((2, *shape))
    field = np.fft.ifft2(amplitude * (parts[0] + 1j * parts[1]))
    return OrientationMap(field / np.sqrt(np.mean(np.abs(field) ** 2)), periodic=True)


def checked_map(orientation_map: OrientationMap) -> OrientationMap:
    """The map, if it is one."""
    words = "an OrientationMap: OrientationMap(responses), or OrientationMap.of(orientation)"
    found: OrientationMap = checked("orientation_map", orientation_map, Instance(OrientationMap, words=words))
    return found


def _as_complex(values: object) -> Complexes:
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            array = array.astype(np.complex128)
    except (ValueError, TypeError):
        raise UsageError("responses are no table of numbers: rows of one length, numbers only, are needed") from None
    if array.dtype.kind not in "fiuc":
        raise UsageError(f"responses are complex numbers r·exp(2iθ), not {array.dtype}")
    if array.ndim != 2 or min(array.shape) < 2:
        raise UsageError(f"responses have shape {array.shape}, and (height, width) is needed, each at least 2")
    return np.array(array, np.complex128)


def _as_mask(mask: object, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(shape, bool)
    array = np.asarray(mask)
    if array.dtype != np.bool_ or array.shape != shape:
        raise UsageError(f"the mask is {array.dtype} of shape {array.shape}; it must be bool of shape {shape}")
    return array.copy()
