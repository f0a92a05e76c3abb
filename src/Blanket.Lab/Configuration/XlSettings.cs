using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace Blanket.Lab.Configuration;

/// <summary>The settings of one file: each key with its final value. Keys that nobody asked for can be listed.</summary>
public sealed class XlSettings
{
    private readonly Dictionary<string, XlValue> _values = new(StringComparer.Ordinal);
    private readonly HashSet<string> _used = new(StringComparer.Ordinal);
    private readonly List<string> _warnings = [];

    /// <summary>Settings from assignments: a later <c>=</c> replaces, <c>+=</c> extends a list or a string.</summary>
    /// <param name="file">Name for messages.</param>
    /// <param name="assignments">In the order of the file.</param>
    /// <exception cref="InputException"><c>+=</c> with a value of another kind.</exception>
    public XlSettings(string file, IEnumerable<XlAssignment> assignments)
    {
        File = file;
        foreach (XlAssignment assignment in assignments)
        {
            Store(assignment);
        }
    }

    /// <summary>Name for messages.</summary>
    public string File { get; }

    /// <summary>One line each, ready to be shown.</summary>
    public IReadOnlyList<string> Warnings => _warnings;

    /// <summary>Keys that no member was asked for, in the order of their lines.</summary>
    public IEnumerable<(string Key, SourceLine Source)> Unused =>
        _values.Where(pair => !_used.Contains(pair.Key)).Select(pair => (pair.Key, pair.Value.Source)).OrderBy(pair => pair.Source.Line);

    /// <summary>Adds a warning at a line.</summary>
    public void Warn(SourceLine source, string message) => _warnings.Add($"{source}: {message}");

    /// <summary>The value of a key or null.</summary>
    public XlValue? Find(string key)
    {
        _used.Add(key);
        return _values.GetValueOrDefault(key);
    }

    /// <summary>The line of a key; the file's first line when it is not set.</summary>
    public SourceLine SourceOf(string key) => _values.TryGetValue(key, out XlValue? value) ? value.Source : new SourceLine(File, 1);

    /// <summary>The string of a key, or null when it is not set.</summary>
    /// <exception cref="InputException">The value is not a string.</exception>
    public string? FindString(string key) => Find(key) switch
    {
        null => null,
        XlString text => text.Text,
        XlValue other => throw new InputException(other.Source, $"{key} is {other.Kind}, expected {key} = \"...\""),
    };

    /// <summary>The number of a key, or null when it is not set. A quoted number is taken too, as xl does.</summary>
    /// <exception cref="InputException">The value is not a number in the range.</exception>
    public long? FindNumber(string key, long minimum, long maximum)
    {
        XlValue? value = Find(key);
        string? text = value switch
        {
            null => null,
            XlNumber number => number.Text,
            XlString quoted => quoted.Text,
            _ => throw new InputException(value.Source, $"{key} is {value.Kind}, expected a number"),
        };
        if (text is null)
        {
            return null;
        }

        if (!TryParseNumber(text, out long result) || result < minimum || result > maximum)
        {
            throw new InputException(value!.Source, $"{key} = {text}, expected a number from {minimum} to {maximum}");
        }

        return result;
    }

    /// <summary>The strings of a list; empty when the key is not set.</summary>
    /// <exception cref="InputException">The value is not a list of strings.</exception>
    public IReadOnlyList<XlString> FindStrings(string key)
    {
        XlValue? value = Find(key);
        if (value is null)
        {
            return [];
        }

        if (value is not XlList list)
        {
            throw new InputException(value.Source, $"{key} is {value.Kind}, expected {key} = [ \"...\", ... ]");
        }

        return [.. list.Items.Select(item => item as XlString
            ?? throw new InputException(item.Source, $"{key} contains {item.Kind}, expected a \"string\""))];
    }

    /// <summary>Reads a number as C does with base 0: decimal, 0octal, 0xhexadecimal.</summary>
    public static bool TryParseNumber(string text, out long value)
    {
        value = 0;
        if (text.StartsWith("0x", StringComparison.Ordinal))
        {
            return long.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out value) && value >= 0;
        }

        if (text.Length > 1 && text[0] == '0')
        {
            return TryParseOctal(text, out value);
        }

        return long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out value);
    }

    private static bool TryParseOctal(string text, out long value)
    {
        value = 0;
        foreach (char digit in text)
        {
            if (digit is < '0' or > '7' || value > long.MaxValue / 8)
            {
                return false;
            }

            value = (value * 8) + (digit - '0');
        }

        return true;
    }

    private void Store(XlAssignment assignment)
    {
        if (!_values.TryGetValue(assignment.Key, out XlValue? earlier))
        {
            _values.Add(assignment.Key, assignment.Value);
        }
        else if (assignment.IsAppend)
        {
            _values[assignment.Key] = Append(assignment, earlier);
        }
        else
        {
            Warn(assignment.Source, $"{assignment.Key} was set on line {earlier.Source.Line} already; this value replaces that one");
            _values[assignment.Key] = assignment.Value;
        }
    }

    private static XlValue Append(XlAssignment assignment, XlValue earlier) => (earlier, assignment.Value) switch
    {
        (XlList left, XlList right) => new XlList(left.Source, [.. left.Items, .. right.Items]),
        (XlString left, XlString right) => new XlString(left.Source, left.Text + right.Text),
        _ => throw new InputException(
            assignment.Source, $"{assignment.Key} += {assignment.Value.Kind}, expected {earlier.Kind} as on line {earlier.Source.Line}, or two strings or lists"),
    };
}
