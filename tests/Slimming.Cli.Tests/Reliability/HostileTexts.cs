namespace Slimming.Cli.Tests.Reliability;

/// <summary>
/// Texts that would become markup or script in a page that does not escape them. What they would run writes to the
/// console, which a browser's log shows.
/// </summary>
internal static class HostileTexts
{
    public static readonly IReadOnlyList<string> All =
    [
        // elements
        "<script>console.error('owned')</script>",
        "<ScRiPt >console.error('owned')</sCrIpT >",
        "<script src=data:,console.error('owned')></script>",
        "<img src=x onerror=console.error('owned')>",
        "<img src=x onerror=console.error('owned')//",
        "<svg onload=console.error('owned')>",
        "<svg><script>console.error('owned')</script></svg>",
        "<svg><animate onbegin=console.error('owned') attributeName=x dur=1s>",
        "<math><mtext><table><mglyph><style><!--</style><img src=x onerror=console.error('owned')>",
        "<iframe srcdoc=\"<script>console.error('owned')</script>\"></iframe>",
        "<object data=\"data:text/html,<script>console.error('owned')</script>\"></object>",
        "<embed src=javascript:console.error('owned')>",
        "<a href=\"javascript:console.error('owned')\">a link</a>",
        "<a href=\" &#106;avascript&colon;console.error('owned')\">a link</a>",
        "<form action=javascript:console.error('owned')><input autofocus onfocus=console.error('owned')>",
        "<details open ontoggle=console.error('owned')>",
        "<video><source onerror=console.error('owned')></video>",
        "<body onload=console.error('owned')>",
        "<base href=//example.invalid/>",
        "<meta http-equiv=refresh content=\"0;url=javascript:console.error('owned')\">",
        "<link rel=stylesheet href=data:text/css,*{display:none}>",
        "<style>*{display:none}</style>",
        "<template><img src=x onerror=console.error('owned')></template>",
        // ends of what stands around the text
        "</script><script>console.error('owned')</script>",
        "</SCRIPT\t><img src=x onerror=console.error('owned')>",
        "</pre></div></main></body></html><svg onload=console.error('owned')>",
        "</td></tr></table><img src=x onerror=console.error('owned')>",
        "</summary></details><script>console.error('owned')</script>",
        "</title></style></textarea></noscript><img src=x onerror=console.error('owned')>",
        "--><img src=x onerror=console.error('owned')><!--",
        "<!--<script>",
        "<!-- --!><img src=x onerror=console.error('owned')>",
        "<![CDATA[<script>console.error('owned')</script>]]>",
        "]]><script>console.error('owned')</script>",
        "<?xml version=\"1.0\"?><x onclick=console.error('owned')>",
        // attributes
        "\"><script>console.error('owned')</script>",
        "' onmouseover='console.error(1)' x='",
        "\" onfocus=\"console.error(1)\" autofocus tabindex=1 x=\"",
        "x\" style=\"position:fixed;inset:0",
        "` onmouseover=`console.error(1)`",
        // inside script and JSON
        "\"});console.error('owned');//",
        "';console.error('owned');//",
        "\\\";console.error('owned');//",
        "${console.error('owned')}",
        "`${console.error('owned')}`",
        "{{constructor.constructor('console.error(1)')()}}",
        "{\"__proto__\":{\"owned\":true}}",
        "\u2028console.error('owned')\u2029",
        "a\rb\nc\r\nd\te",
        // text that an escape must not change twice, and characters that hide others
        "&lt;script&gt;console.error('owned')&lt;/script&gt; &amp;amp; &#60;b&#62; &notin; &lt",
        "\0<script>console.error('owned')</script>\0",
        "<\0script>console.error('owned')</script>",
        "\u202e<script>console.error('owned')</script>\u202c",
        "\u2066\u200b\ufeff<b>hidden</b>\u2069",
        "\u001b[31m\u001b]0;owned\u0007\b\u007f",
        "\uff1cscript\uff1econsole.error('owned')\uff1c/script\uff1e",
        "+ADw-script+AD4-console.error('owned')+ADw-/script+AD4-",
        "\ufffe\uffff\u0085\u009b<b>",
    ];
}
