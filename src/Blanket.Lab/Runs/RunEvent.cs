using System;
using System.Collections.Generic;

namespace Blanket.Lab.Runs;

/// <summary>
/// A line of Blanket's log that is meant for programs: <c>blanket: event NAME key=value ...</c>. Values have no spaces, except
/// that the value of <c>message</c> and <c>reason</c> is the rest of the line, with or without quotation marks around it.
/// </summary>
public sealed record RunEvent(string Name, IReadOnlyDictionary<string, string> Values)
{
    /// <summary>A guest began to run; keys name, domid.</summary>
    public const string GuestStart = "guest-start";

    /// <summary>A guest powered off by itself; key name.</summary>
    public const string GuestPoweroff = "guest-poweroff";

    /// <summary>A guest asked for a reboot; key name.</summary>
    public const string GuestReboot = "guest-reboot";

    /// <summary>A guest crashed; keys name, reason.</summary>
    public const string GuestCrash = "guest-crash";

    /// <summary>An operator ended a guest; key name.</summary>
    public const string GuestDestroy = "guest-destroy";

    /// <summary>What a guest had has been taken back, and it has no domain any more; key name. Not worth a word to the user.</summary>
    public const string GuestGone = "guest-gone";

    /// <summary>A guest that an operator sent could not be started; key name.</summary>
    public const string GuestRefused = "guest-refused";

    /// <summary>Blanket cannot go on; key message.</summary>
    public const string Panic = "panic";

    /// <summary>No guest is left; Blanket powers the machine off.</summary>
    public const string AllGuestsDone = "all-guests-done";

    /// <summary>What is in use (ManagementAudit); not worth a word to the user.</summary>
    public const string Audit = "audit";

    private const string Prefix = "blanket: event ";

    /// <summary>The value of a key, or an empty string.</summary>
    public string this[string key] => Values.TryGetValue(key, out string? value) ? value : string.Empty;

    /// <summary>Reads a line without its line end; null for a line that is no event.</summary>
    public static RunEvent? TryParse(string line)
    {
        if (!line.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return null;
        }

        string rest = line[Prefix.Length..].Trim();
        string name = TakeWord(ref rest);
        Dictionary<string, string> values = new(StringComparer.Ordinal);
        while (rest.Length > 0)
        {
            int equals = rest.IndexOf('=', StringComparison.Ordinal);
            string key = equals < 0 ? rest : rest[..equals];
            rest = equals < 0 ? string.Empty : rest[(equals + 1)..];
            if (key is "message" or "reason")
            {
                values[key] = Unquote(rest);
                break;
            }

            values[key] = TakeWord(ref rest);
        }

        return name.Length > 0 ? new RunEvent(name, values) : null;
    }

    private static string Unquote(string value) =>
        value.Length >= 2 && value[0] == '"' && value[^1] == '"' ? value[1..^1] : value;

    private static string TakeWord(ref string rest)
    {
        int space = rest.IndexOf(' ', StringComparison.Ordinal);
        string word = space < 0 ? rest : rest[..space];
        rest = space < 0 ? string.Empty : rest[space..].TrimStart();
        return word;
    }
}
