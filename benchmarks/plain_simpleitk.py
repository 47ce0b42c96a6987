"""The same steps as our chain, written down as SimpleITK's own examples have them.

    python benchmarks/plain_simpleitk.py T1W FLAIR

Denoising by curvature flow, rigid registration of the FLAIR to the T1w (Mattes, three levels), the
brain by an affine registration of nilearn's template, N4 on a grid shrunk by four, each image
resampled to 1 mm. It differs from ours in what a script leaves out: the FLAIR is interpolated more
than once, the brain mask is the template's as it falls, N4 and registration use all threads and
give other last digits each time, and nothing is checked or recorded.
"""

# mypy: disable-error-code="no-untyped-call,no-any-return"
# a script as SimpleITK's users write it; half of its functions have no types

from __future__ import annotations

import sys
from pathlib import Path

import nilearn.datasets
import SimpleITK as sitk


def main(t1w_file: Path, flair_file: Path) -> None:
    """Writes both images, corrected and stripped, on the T1w's grid."""
    t1w, flair = (
        sitk.Cast(
            sitk.CurvatureFlow(sitk.ReadImage(str(path), sitk.sitkFloat32), 0.0625, 5),
            sitk.sitkFloat32,
        )
        for path in (t1w_file, flair_file)
    )
    flair = moved(flair, registered(t1w, flair, sitk.Euler3DTransform()), t1w)
    template_file = t1w_file.with_name("template.nii.gz")
    mask_file = t1w_file.with_name("template-mask.nii.gz")
    nilearn.datasets.load_mni152_template(resolution=1).to_filename(template_file)
    nilearn.datasets.load_mni152_brain_mask(resolution=1).to_filename(mask_file)
    template = sitk.ReadImage(str(template_file), sitk.sitkFloat32)
    to_template = registered(t1w, template, sitk.AffineTransform(3))
    mask = sitk.Resample(
        sitk.ReadImage(str(mask_file), sitk.sitkUInt8),
        t1w,
        to_template,
        sitk.sitkNearestNeighbor,
        0.0,
    )
    for name, image in (("T1w", t1w), ("FLAIR", flair)):
        small, small_mask = (sitk.Shrink(whole, [4, 4, 4]) for whole in (image, mask))
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.Execute(small, small_mask)
        corrected = image / sitk.Exp(n4.GetLogBiasFieldAsImage(image))
        stripped = sitk.Mask(corrected, mask)
        sitk.WriteImage(stripped, str(t1w_file.with_name(f"plain-{name}.nii.gz")))


def registered(fixed: sitk.Image, moving: sitk.Image, kind: sitk.Transform) -> sitk.Transform:
    """The transform of this kind that brings `moving` onto `fixed`."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(50)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.01, 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsGradientDescent(1.0, 100, 1e-6, 10)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    start = sitk.CenteredTransformInitializer(
        fixed, moving, kind, sitk.CenteredTransformInitializerFilter.GEOMETRY
    )
    method.SetInitialTransform(start, inPlace=False)
    return method.Execute(fixed, moving)


def moved(image: sitk.Image, transform: sitk.Transform, onto: sitk.Image) -> sitk.Image:
    """The image on another's grid."""
    return sitk.Resample(image, onto, transform, sitk.sitkLinear, 0.0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
