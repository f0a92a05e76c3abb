using System;
using System.Collections.Generic;
using System.Text;

namespace Blanket.Lab.Runs;

/// <summary>Cuts a stream of bytes into lines of text. Overlong lines are cut so that a guest cannot make this grow.</summary>
public sealed class LineSplitter
{
    /// <summary>Longest line in bytes; what is longer becomes several lines.</summary>
    public const int MaximumLength = 4096;

    private readonly List<byte> _current = [];

    /// <summary>The lines that end in <paramref name="bytes"/>, without line ends and without control characters except tab.</summary>
    public IReadOnlyList<string> Add(ReadOnlySpan<byte> bytes)
    {
        List<string> lines = [];
        foreach (byte value in bytes)
        {
            if (value == (byte)'\n' || _current.Count == MaximumLength)
            {
                lines.Add(Take());
            }

            if (value is >= 0x20 or (byte)'\t')
            {
                _current.Add(value);
            }
        }

        return lines;
    }

    /// <summary>What came since the last line end, or null.</summary>
    public string? Rest() => _current.Count > 0 ? Take() : null;

    private string Take()
    {
        string line = Encoding.UTF8.GetString(_current.ToArray());
        _current.Clear();
        return line;
    }
}
