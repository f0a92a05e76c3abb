using System.IO;

namespace Blanket.Lab.Bench;

/// <summary>Files of the benchmark's guests that this assembly carries.</summary>
internal static class BenchResource
{
    /// <summary>The content of a file.</summary>
    internal static byte[] Read(string name)
    {
        using Stream stream = typeof(BenchResource).Assembly.GetManifestResourceStream("bench/" + name)!;
        using MemoryStream copy = new();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
