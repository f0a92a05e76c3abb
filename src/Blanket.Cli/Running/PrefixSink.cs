using System;
using System.Threading.Tasks;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>Prints whole lines of a console, each with the console's name in front.</summary>
internal sealed class PrefixSink(string name, Action<string> print) : IConsoleSink
{
    private readonly LineSplitter _lines = new();

    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        foreach (string line in _lines.Add(bytes.Span))
        {
            print($"{name}| {line}");
        }

        return ValueTask.CompletedTask;
    }

    /// <summary>Prints what has no line end yet.</summary>
    internal void Finish()
    {
        if (_lines.Rest() is string rest)
        {
            print($"{name}| {rest}");
        }
    }
}
