using System;
using System.Collections.Generic;
using System.Globalization;

namespace Blanket.Lab.Bench;

/// <summary>Reads what the measuring program prints: lines <c>bench: NAME NANOSECONDS</c>, then <c>bench: done</c>.</summary>
public sealed class BenchOutput
{
    private const string Prefix = "bench: ";
    private const string DoneWord = "done";
    private const string FailurePrefix = "failed: ";
    private const string SymbolPrefix = "symbol: ";
    private const string ProfilePrefix = "profile: ";
    private const string StartEvent = "blanket: event guest-start ";
    private const string StartTimeKey = "at_us=";
    private const string LayerMemoryKey = "layer_kib=";

    private readonly Dictionary<string, long> _values = new(StringComparer.Ordinal);

    /// <summary>Takes a line of Blanket's log: what it says of itself when the guest starts.</summary>
    public void AddLog(string line)
    {
        if (!line.StartsWith(StartEvent, StringComparison.Ordinal))
        {
            return;
        }

        foreach (string word in line.Split(' '))
        {
            AddLogValue(word, StartTimeKey, BenchRow.LayerStart);
            AddLogValue(word, LayerMemoryKey, BenchRow.LayerMemory);
        }
    }

    private void AddLogValue(string word, string key, string row)
    {
        if (word.StartsWith(key, StringComparison.Ordinal))
        {
            AddValue([row, word[key.Length..]]);
        }
    }

    /// <summary>Adds a value that is known without measuring.</summary>
    public void AddKnown(string row, long value) => _values[row] = value;

    /// <summary>Values in the unit of the row, by <see cref="BenchRow.Name"/>.</summary>
    public IReadOnlyDictionary<string, long> Values => _values;

    /// <summary>Functions of the guest's kernel by address; empty unless a profile is made.</summary>
    public Dictionary<ulong, string> Symbols { get; } = [];

    /// <summary>How many operations a profile is about.</summary>
    public long ProfiledOperations { get; private set; } = 1;

    /// <summary>Whether the program came to its end.</summary>
    public bool IsDone { get; private set; }

    /// <summary>Why it did not, in its own words; null if it has not said anything.</summary>
    public string? Failure { get; private set; }

    /// <summary>Whether nothing more will come.</summary>
    public bool IsOver => IsDone || Failure is not null;

    /// <summary>Takes a line of the guest's console; other lines are ignored.</summary>
    public void Add(string line)
    {
        if (line.StartsWith(SymbolPrefix, StringComparison.Ordinal))
        {
            AddSymbol(line[SymbolPrefix.Length..].Split(' '));
        }
        else if (line.StartsWith(ProfilePrefix, StringComparison.Ordinal)
            && long.TryParse(line.AsSpan(ProfilePrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long operations))
        {
            ProfiledOperations = operations;
        }

        if (!line.StartsWith(Prefix, StringComparison.Ordinal))
        {
            return;
        }

        string rest = line[Prefix.Length..];
        if (rest == DoneWord)
        {
            IsDone = true;
        }
        else if (rest.StartsWith(FailurePrefix, StringComparison.Ordinal))
        {
            Failure = rest[FailurePrefix.Length..];
        }
        else
        {
            AddValue(rest.Split(' '));
        }
    }

    private void AddSymbol(string[] words)
    {
        if (words.Length == 2 && ulong.TryParse(words[0], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong address))
        {
            Symbols[address] = words[1];
        }
    }

    private void AddValue(string[] words)
    {
        if (words.Length == 2 && long.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out long value))
        {
            _values[words[0]] = value;
        }
    }
}
