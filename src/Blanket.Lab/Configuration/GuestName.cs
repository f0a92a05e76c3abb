using System.Linq;

namespace Blanket.Lab.Configuration;

/// <summary>What a guest may be called. Names become file names, port names and xenstore values, so they are kept plain.</summary>
public static class GuestName
{
    /// <summary>Longest name in characters.</summary>
    public const int MaximumLength = Abi.BootBundleName.Size - 1;

    /// <summary>Whether a text is a letter or digit followed by letters, digits and <c>- _ . +</c>.</summary>
    public static bool IsValid(string text, int maximumLength = MaximumLength) =>
        text.Length >= 1
        && text.Length <= maximumLength
        && char.IsAsciiLetterOrDigit(text[0])
        && text.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '+');
}
