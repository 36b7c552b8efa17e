"""Capabilities that the JavaScript implementation of Biscuit made (biscuit-wasm 0.6.0), as it wrote them.

    right("agent:desk", "tool:t", "invoke");
    check if resource($res), operation($op), right($sub, $res, $op);
    check if time($time), $time < 1800003600;
    check if designation("anchor", "mail");
    check if designation("holder", H0) trusting {holder 0};
    check if resource("tool:t"), arg_names($n), {"x", "y"}.contains($n), $n.contains("y"),
        arg_str("x", $x), {"a", "b"}.contains($x);

`DELEGATED` has two blocks more, the second one signed by holder 0; `SEALED` is that one, sealed.

    check if resource("tool:t"), arg_int("y", $y), $y >= 1, $y <= 5;
    check if time($t), $t < 1800000600;

    designation("holder", H0);
    check if designation("holder", H1) trusting {holder 1};
    check if resource("tool:t"), arg_str("x", "a");
"""

from __future__ import annotations

__all__ = ["DELEGATED", "FIRST", "SEALED"]

FIRST = (
    "CAESvwQK1AMKCmFnZW50OmRlc2sKBnRvb2w6dAoGaW52b2tlCgNyZXMKAm9wCgNzdWIKC2Rlc2lnbmF0aW9uCgZhbmNob3IKBG1h"
    "aWwKBmhvbGRlcgogMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYKCWFyZ19uYW1lcwoBbgoHYXJnX3N0cgoBeAoBeQoB"
    "YQoBYhgEIhMKEQgEEgMYgAgSAxiBCBIDGIIIMisKKQoCCBsSBwgCEgMIgwgSBwgDEgMIhAgSEQgEEgMIhQgSAwiDCBIDCIQIMiYK"
    "JAoCCBsSBggFEgIIBRoWCgQKAggFCggKBhCQwKfaBgoEGgIIADIVChMKAggbEg0IhggSAxiHCBIDGIgIMhkKFwoCCBsSDQiGCBID"
    "GIkIEgMYiggiAhAAMnwKegoCCBsSBwgCEgMYgQgSCAiLCBIDCIwIEg0IjQgSAxiOCBIDCI4IGh0KDgoMOgoKAxiOCAoDGI8ICgUK"
    "AwiMCAoEGgIIBRoUCgUKAwiMCAoFCgMYjwgKBBoCCAUaHQoOCgw6CgoDGJAICgMYkQgKBQoDCI4ICgQaAggFQiQIABIgh0fL-uo4"
    "yKwBNsOIc31bk8W9nyulO1-mJy0vu6fuXwASJAgAEiDbXlLTGsmFgdjxKOKQI2HVDxfCNNiXviuQ6KyClhGlxRpAbadI_cul2NeJ"
    "3d20Oxs6XgLuAT3zuxUI1Mh8IB-mqINXnlgODhAcQvdgO4XGI5KRpAi359aUicZ_s-zUR1UoByIiCiB9futp9ZVRwMgrCIwqlx58"
    "-H9YirT-AoS0O2yaW9E2WA=="
)

DELEGATED = (
    "CAESvwQK1AMKCmFnZW50OmRlc2sKBnRvb2w6dAoGaW52b2tlCgNyZXMKAm9wCgNzdWIKC2Rlc2lnbmF0aW9uCgZhbmNob3IKBG1h"
    "aWwKBmhvbGRlcgogMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYKCWFyZ19uYW1lcwoBbgoHYXJnX3N0cgoBeAoBeQoB"
    "YQoBYhgEIhMKEQgEEgMYgAgSAxiBCBIDGIIIMisKKQoCCBsSBwgCEgMIgwgSBwgDEgMIhAgSEQgEEgMIhQgSAwiDCBIDCIQIMiYK"
    "JAoCCBsSBggFEgIIBRoWCgQKAggFCggKBhCQwKfaBgoEGgIIADIVChMKAggbEg0IhggSAxiHCBIDGIgIMhkKFwoCCBsSDQiGCBID"
    "GIkIEgMYiggiAhAAMnwKegoCCBsSBwgCEgMYgQgSCAiLCBIDCIwIEg0IjQgSAxiOCBIDCI4IGh0KDgoMOgoKAxiOCAoDGI8ICgUK"
    "AwiMCAoEGgIIBRoUCgUKAwiMCAoFCgMYjwgKBBoCCAUaHQoOCgw6CgoDGJAICgMYkQgKBQoDCI4ICgQaAggFQiQIABIgh0fL-uo4"
    "yKwBNsOIc31bk8W9nyulO1-mJy0vu6fuXwASJAgAEiDbXlLTGsmFgdjxKOKQI2HVDxfCNNiXviuQ6KyClhGlxRpAbadI_cul2NeJ"
    "3d20Oxs6XgLuAT3zuxUI1Mh8IB-mqINXnlgODhAcQvdgO4XGI5KRpAi359aUicZ_s-zUR1UoBxrtAQqCAQoHYXJnX2ludAoBdBgD"
    "MkgKRgoCCBsSBwgCEgMYgQgSDQiSCBIDGI8IEgMIjwgaEwoFCgMIjwgKBAoCEAEKBBoCCAMaEwoFCgMIjwgKBAoCEAUKBBoCCAIy"
    "KAomCgIIGxIHCAUSAwiTCBoXCgUKAwiTCAoICgYQ2Kin2gYKBBoCCAASJAgAEiCRFqJUyJVG8aImThhBK94mQUwuX3Hzt8vvdzsd"
    "RgWD2hpAbiGNcoyxAs9g_n_d45NUEwzBgZWY85cYdOeheFJQuEQOX-C9QsO9ULq3NcNFdXtNNaroMWqJvftKdupbqHkuCRq7Awrk"
    "AQoLZGVzaWduYXRpb24KBmhvbGRlcgogMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYKIGZmZWVkZGNjYmJhYTk5ODg3"
    "NzY2NTU0NDMzMjIxMTAwCgZ0b29sOnQKB2FyZ19zdHIKAXgKAWEYBSIPCg0IgAgSAxiBCBIDGIIIMhkKFwoCCBsSDQiACBIDGIEI"
    "EgMYgwgiAhAAMh4KHAoCCBsSBwgCEgMYhAgSDQiFCBIDGIYIEgMYhwhCJAgAEiBP2QVxKEkoMxN-a7RSx-d9BcfVH3nBn72yZROi"
    "KHYt9xIkCAASIJ82gHTt6zw8_Sw3ld16O9jal-1X76kXgjF_Hd1TuAHPGkApo7Jg2fa_2IB7JmM9G5fBcjxHH_K2mkZI-ZMBQ5wO"
    "i5Ho2edD6x4b4VoOkzATVjRfqcv8lGc8yPNkL7_uLsMBImgKQLHKhdqFxgYY4JODnS9DcE74dZE30KQJBh96Kt4b-D7iDQcmQLBf"
    "vthhGv6vT-a1KTufocv-QdZ5Ex6HJ2x7OAcSJAgAEiCHR8v66jjIrAE2w4hzfVuTxb2fK6U7X6YnLS-7p-5fACgBIiIKIL6onlfZ"
    "4tp4rlZn_4d5LaW2GgDfO2GIlphVjZ6Q5FQo"
)

SEALED = (
    "CAESvwQK1AMKCmFnZW50OmRlc2sKBnRvb2w6dAoGaW52b2tlCgNyZXMKAm9wCgNzdWIKC2Rlc2lnbmF0aW9uCgZhbmNob3IKBG1h"
    "aWwKBmhvbGRlcgogMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYKCWFyZ19uYW1lcwoBbgoHYXJnX3N0cgoBeAoBeQoB"
    "YQoBYhgEIhMKEQgEEgMYgAgSAxiBCBIDGIIIMisKKQoCCBsSBwgCEgMIgwgSBwgDEgMIhAgSEQgEEgMIhQgSAwiDCBIDCIQIMiYK"
    "JAoCCBsSBggFEgIIBRoWCgQKAggFCggKBhCQwKfaBgoEGgIIADIVChMKAggbEg0IhggSAxiHCBIDGIgIMhkKFwoCCBsSDQiGCBID"
    "GIkIEgMYiggiAhAAMnwKegoCCBsSBwgCEgMYgQgSCAiLCBIDCIwIEg0IjQgSAxiOCBIDCI4IGh0KDgoMOgoKAxiOCAoDGI8ICgUK"
    "AwiMCAoEGgIIBRoUCgUKAwiMCAoFCgMYjwgKBBoCCAUaHQoOCgw6CgoDGJAICgMYkQgKBQoDCI4ICgQaAggFQiQIABIgh0fL-uo4"
    "yKwBNsOIc31bk8W9nyulO1-mJy0vu6fuXwASJAgAEiDbXlLTGsmFgdjxKOKQI2HVDxfCNNiXviuQ6KyClhGlxRpAbadI_cul2NeJ"
    "3d20Oxs6XgLuAT3zuxUI1Mh8IB-mqINXnlgODhAcQvdgO4XGI5KRpAi359aUicZ_s-zUR1UoBxrtAQqCAQoHYXJnX2ludAoBdBgD"
    "MkgKRgoCCBsSBwgCEgMYgQgSDQiSCBIDGI8IEgMIjwgaEwoFCgMIjwgKBAoCEAEKBBoCCAMaEwoFCgMIjwgKBAoCEAUKBBoCCAIy"
    "KAomCgIIGxIHCAUSAwiTCBoXCgUKAwiTCAoICgYQ2Kin2gYKBBoCCAASJAgAEiCRFqJUyJVG8aImThhBK94mQUwuX3Hzt8vvdzsd"
    "RgWD2hpAbiGNcoyxAs9g_n_d45NUEwzBgZWY85cYdOeheFJQuEQOX-C9QsO9ULq3NcNFdXtNNaroMWqJvftKdupbqHkuCRq7Awrk"
    "AQoLZGVzaWduYXRpb24KBmhvbGRlcgogMDAxMTIyMzM0NDU1NjY3Nzg4OTlhYWJiY2NkZGVlZmYKIGZmZWVkZGNjYmJhYTk5ODg3"
    "NzY2NTU0NDMzMjIxMTAwCgZ0b29sOnQKB2FyZ19zdHIKAXgKAWEYBSIPCg0IgAgSAxiBCBIDGIIIMhkKFwoCCBsSDQiACBIDGIEI"
    "EgMYgwgiAhAAMh4KHAoCCBsSBwgCEgMYhAgSDQiFCBIDGIYIEgMYhwhCJAgAEiBP2QVxKEkoMxN-a7RSx-d9BcfVH3nBn72yZROi"
    "KHYt9xIkCAASIJ82gHTt6zw8_Sw3ld16O9jal-1X76kXgjF_Hd1TuAHPGkApo7Jg2fa_2IB7JmM9G5fBcjxHH_K2mkZI-ZMBQ5wO"
    "i5Ho2edD6x4b4VoOkzATVjRfqcv8lGc8yPNkL7_uLsMBImgKQLHKhdqFxgYY4JODnS9DcE74dZE30KQJBh96Kt4b-D7iDQcmQLBf"
    "vthhGv6vT-a1KTufocv-QdZ5Ex6HJ2x7OAcSJAgAEiCHR8v66jjIrAE2w4hzfVuTxb2fK6U7X6YnLS-7p-5fACgBIkISQEdDmg-1"
    "zQhBMGHDmRv-Kyk4tjCiVXESGz-PhGRhaUO_pvUpvhZzmcHGU2wk-OE8F4SajL4avwk7r5QMPFnMvgk="
)
