"""Tokens that carry their issuer's mark: a prefix that nothing else has, so that one look is enough.

The forms are the issuers' own: GitHub "About authentication to GitHub, token formats", GitLab "Token
overview", Slack "Token types", Stripe "API keys", Google Cloud "API keys" and "OAuth client secrets",
Microsoft "Azure storage connection strings" and "Entra client secrets", npm "About access tokens", PyPI "API
tokens" (macaroons that start with the registry's name), OpenAI "API keys".
"""

from privacy_assets.scan.detectors.masks import KeepPrefix, hide
from privacy_assets.scan.detectors.shape import (
    NOT_INSIDE,
    Confidence,
    Detector,
    Form,
    Literals,
    Severity,
    pattern,
)

_END = r"(?![A-Za-z0-9_-])"


def _token(
    name: str,
    title: str,
    forms: tuple[tuple[tuple[bytes, ...], str], ...],
    mask: str,
    examples: tuple[str, ...],
    decoys: tuple[str, ...],
) -> Detector:
    return Detector(
        name=name,
        version=1,
        title=title,
        severity=Severity.CRITICAL,
        forms=tuple(
            Form(Literals(words), pattern(NOT_INSIDE + expression), alone=Confidence.HIGH)
            for words, expression in forms
        ),
        mask=KeepPrefix(mask) if mask else hide,
        examples=examples,
        decoys=decoys,
    )


TOKENS = (
    _token(
        "github_token",
        "GitHub token",
        (
            (
                (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"),
                rf"gh[opusr]_[A-Za-z0-9]{{36,251}}{_END}",
            ),
            ((b"github_pat_",), rf"github_pat_[A-Za-z0-9]{{22}}_[A-Za-z0-9]{{59}}{_END}"),
        ),
        "gh[opusr]_|github_pat_",
        (
            "token ⟦ghp_‹A-Za-z0-9×36›⟧",
            "https://x:⟦gho_‹A-Za-z0-9×36›⟧@github.com/",
            "⟦github_pat_‹A-Za-z0-9×22›_‹A-Za-z0-9×59›⟧",
        ),
        ("ghp_‹A-Za-z0-9×20›", "aghp_‹A-Za-z0-9×36›", "ghp_your_token_here"),
    ),
    _token(
        "gitlab_token",
        "GitLab token",
        (
            (
                (
                    b"glpat-",
                    b"gldt-",
                    b"glrt-",
                    b"glptt-",
                    b"glcbt-",
                    b"glimt-",
                    b"glsoat-",
                    b"glagent-",
                    b"glft-",
                ),
                r"gl(?:pat|dt|rt|ptt|cbt|imt|soat|agent|ft)-[A-Za-z0-9_-]{20,300}(?:[.][0-9a-z]{2}[.][0-9a-z]{9})?(?![A-Za-z0-9_-])",
            ),
        ),
        "gl[a-z]+-",
        ("PRIVATE-TOKEN: ⟦glpat-‹A-Za-z0-9×20›⟧", "⟦glrt-‹A-Za-z0-9_×20›⟧"),
        ("glpat-‹A-Za-z0-9×12›", "xglpat-‹A-Za-z0-9×20›"),
    ),
    _token(
        "slack_token",
        "Slack token or webhook",
        (
            (
                (b"xoxb-", b"xoxp-", b"xoxa-", b"xoxr-", b"xoxs-", b"xoxe-", b"xoxe.", b"xoxo-"),
                r"xox(?:[abposr]-(?:[0-9]{1,20}-){1,4}[A-Za-z0-9]{16,64}|e(?:[.]xox[bp])?-[0-9]-[A-Za-z0-9]{100,200})(?![A-Za-z0-9_-])",
            ),
            ((b"xapp-",), rf"xapp-[0-9]-[A-Z0-9]{{8,16}}-[0-9]{{8,16}}-[a-f0-9]{{40,80}}{_END}"),
            (
                (b"hooks.slack.com/",),
                r"hooks[.]slack[.]com/(?:services|workflows)/T[A-Z0-9]{6,14}/[AB][A-Z0-9]{6,14}/(?:[0-9]{10,20}/)?[A-Za-z0-9]{20,28}"
                + _END,
            ),
        ),
        "xox[a-z]|xapp|hooks[.]slack[.]com/",
        (
            "SLACK_TOKEN=⟦xoxb-‹0-9×12›-‹0-9×12›-‹A-Za-z0-9×24›⟧",
            "https://⟦hooks.slack.com/services/T‹A-Z0-9×8›/B‹A-Z0-9×10›/‹A-Za-z0-9×24›⟧",
            "⟦xapp-1-A‹A-Z0-9×10›-‹0-9×13›-‹a-f0-9×64›⟧",
        ),
        ("xoxb-your-token", "xoxb-‹a-z×24›", "https://hooks.slack.com/services/"),
    ),
    _token(
        "stripe_key",
        "Stripe secret key",
        (
            (
                (b"sk_live_", b"sk_test_", b"rk_live_", b"rk_test_"),
                r"[sr]k_(?:live|test)_[A-Za-z0-9]{16,250}(?![A-Za-z0-9_])",
            ),
            ((b"whsec_",), r"whsec_[A-Za-z0-9+/]{32,64}={0,2}(?![A-Za-z0-9_=+/])"),
        ),
        "[sr]k_(live|test)_|whsec_",
        ("stripe: ⟦sk_live_‹A-Za-z0-9×24›⟧", "⟦rk_test_‹A-Za-z0-9×99›⟧", "⟦whsec_‹A-Za-z0-9×32›⟧"),
        ("pk_live_‹A-Za-z0-9×24›", "sk_live_...", "task_live_‹A-Za-z0-9×24›"),
    ),
    _token(
        "google_key",
        "Google API key, OAuth secret or access token",
        (
            ((b"AIza",), r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
            ((b"GOCSPX-",), r"GOCSPX-[A-Za-z0-9_-]{28}(?![A-Za-z0-9_-])"),
            ((b"ya29.",), r"ya29[.][A-Za-z0-9_-]{40,1000}(?![A-Za-z0-9_-])"),
        ),
        "AIza|GOCSPX-|ya29[.]",
        ("key=⟦AIza‹A-Za-z0-9_×35›⟧", "⟦GOCSPX-‹A-Za-z0-9_×28›⟧", "Bearer ⟦ya29.‹A-Za-z0-9_×60›⟧"),
        ("AIza‹A-Za-z0-9_×20›", "AIza‹A-Za-z0-9_×36›"),
    ),
    _token(
        "azure_key",
        "Azure storage key, service bus key or client secret",
        (
            (
                (b"AccountKey=",),
                r"AccountKey=(?P<value>[A-Za-z0-9+/]{86}==)",
            ),
            ((b"SharedAccessKey=",), r"SharedAccessKey=(?P<value>[A-Za-z0-9+/]{43}=)(?!=)"),
        ),
        "",
        (
            "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=⟦‹A-Za-z0-9+/×86›==⟧;EndpointSuffix=core",
            "SharedAccessKeyName=Root;SharedAccessKey=⟦‹A-Za-z0-9+/×43›=⟧",
        ),
        ("AccountKey=‹A-Za-z0-9×20›==", "SharedAccessKey=<key>"),
    ),
    Detector(
        name="azure_client_secret",
        version=1,
        title="Microsoft Entra client secret",
        severity=Severity.CRITICAL,
        forms=(
            Form(
                Literals((b"Q~",), before=4, after=64),
                pattern(
                    r"(?<![A-Za-z0-9_.~-])[A-Za-z0-9_.~-]{3}\dQ~[A-Za-z0-9_.~-]{31,34}(?![A-Za-z0-9_.~-])"
                ),
                alone=Confidence.HIGH,
            ),
        ),
        mask=hide,
        examples=("client_secret=⟦‹A-Za-z0-9×3›8Q~‹A-Za-z0-9×34›⟧",),
        decoys=("abQ~", "‹A-Za-z0-9×3›xQ~‹A-Za-z0-9×34›"),
    ),
    _token(
        "npm_token",
        "npm access token",
        (((b"npm_",), r"npm_[A-Za-z0-9]{36}(?![A-Za-z0-9_])"),),
        "npm_",
        ("//registry.example.org/:_authToken=⟦npm_‹A-Za-z0-9×36›⟧",),
        ("npm_config_registry=https", "npm_‹A-Za-z0-9×35›"),
    ),
    _token(
        "pypi_token",
        "PyPI API token",
        (((b"pypi-Ag",), r"pypi-Ag[A-Za-z0-9_-]{70,1000}(?![A-Za-z0-9_-])"),),
        "pypi-",
        ("password = ⟦pypi-AgE‹A-Za-z0-9_×140›⟧",),
        ("pypi-AgE‹A-Za-z0-9_×20›", "pypi-server"),
    ),
    _token(
        "openai_key",
        "OpenAI API key",
        (
            (
                (b"sk-proj-", b"sk-svcacct-", b"sk-admin-", b"sk-None-"),
                rf"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{{40,250}}{_END}",
            ),
            ((b"sk-",), r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}(?![A-Za-z0-9_-])"),
        ),
        "sk-(proj-|svcacct-|admin-|None-)?",
        ("OPENAI_API_KEY=⟦sk-proj-‹A-Za-z0-9_×74›⟧", "⟦sk-‹A-Za-z0-9×20›T3Blb‹k×1›FJ‹A-Za-z0-9×20›⟧"),
        ("sk-‹A-Za-z0-9×48›", "task-proj-‹A-Za-z0-9×48›", "sk-learn"),
    ),
)
