using System;
using System.Collections.Generic;
using System.IO;
using System.Threading.Tasks;
using Blanket.Lab.Runs;

namespace Blanket.Boot.Tests;

/// <summary>Writes a line of the machine to a file and calls for each whole line of it.</summary>
internal sealed class LineWatch(string path, Action<string> onLine) : IConsoleSink, IDisposable
{
    private readonly FileStream _file = new(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
    private readonly LineSplitter _lines = new();
    private readonly List<string> _seen = [];

    /// <summary>Whole lines so far; to be read when the machine has ended.</summary>
    internal IReadOnlyList<string> Lines => _seen;

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes)
    {
        await _file.WriteAsync(bytes);
        foreach (string line in _lines.Add(bytes.Span))
        {
            _seen.Add(line);
            onLine(line);
        }
    }

    public void Dispose() => _file.Dispose();
}
