using System;
using System.IO;
using System.Threading.Tasks;
using Blanket.Lab.Runs;

namespace Blanket.Cli.Running;

/// <summary>Writes a console to a file as it comes.</summary>
internal sealed class FileSink(string path) : IConsoleSink, IDisposable
{
    // No buffer: whoever reads the file sees what there is.
    private readonly FileStream _file = new(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);

    public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes) => _file.WriteAsync(bytes);

    public void Dispose() => _file.Dispose();
}
