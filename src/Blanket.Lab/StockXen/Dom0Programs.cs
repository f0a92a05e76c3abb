using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;

namespace Blanket.Lab.StockXen;

/// <summary>Programs of Debian packages in an archive for dom0, with the libraries that they need: of the packages, or of the host, which is Debian, too.</summary>
internal static class Dom0Programs
{
    /// <summary>Where dom0's libraries are.</summary>
    internal const string LibraryDirectory = "lib/x86_64-linux-gnu";

    /// <summary>Loaded at run time by the C library, for the cancellation of threads.</summary>
    private static readonly string[] HiddenLibraries = ["/lib/x86_64-linux-gnu/libgcc_s.so.1"];

    /// <summary>The file of a path in one of the packages.</summary>
    /// <exception cref="HostException">None has it.</exception>
    internal static string Find(IReadOnlyList<string> packages, string path) =>
        packages.Select(package => Path.Combine(package, path)).FirstOrDefault(File.Exists)
        ?? throw new HostException($"Debian's Xen packages have no {path}");

    /// <summary>Adds a file that may be executed.</summary>
    internal static void AddFile(CpioArchive archive, string path, string source) => archive.AddFile(path, File.ReadAllBytes(source), executable: true);

    /// <summary>Adds programs and their libraries; the directories are there.</summary>
    internal static async Task AddAsync(
        CpioArchive archive, IReadOnlyList<string> packages, IEnumerable<(string Source, string Path)> programs, CancellationToken cancellation)
    {
        HashSet<string> libraries = [.. HiddenLibraries];
        foreach ((string source, string path) in programs)
        {
            AddFile(archive, path, source);
            libraries.UnionWith(await ListLibrariesAsync(source, packages, cancellation).ConfigureAwait(false));
        }

        foreach (string library in libraries)
        {
            string name = Path.GetFileName(library);
            AddFile(archive, name.StartsWith("ld-linux", StringComparison.Ordinal) ? $"lib64/{name}" : $"{LibraryDirectory}/{name}", library);
        }
    }

    /// <summary>The libraries that the host's loader finds for a program, in the packages first.</summary>
    private static async Task<IReadOnlyList<string>> ListLibrariesAsync(string program, IReadOnlyList<string> packages, CancellationToken cancellation)
    {
        string search = string.Join(':', packages.SelectMany(package => new[]
        {
            Path.Combine(package, "usr", LibraryDirectory), Path.Combine(package, "usr/lib/xen-4.17", LibraryDirectory), Path.Combine(package, LibraryDirectory),
        }).Where(Directory.Exists));
        ToolResult result = await Tool.RequireAsync("env", [$"LD_LIBRARY_PATH={search}", "ldd", program], cancellation: cancellation).ConfigureAwait(false);
        string[] lines = result.Text.Split('\n', StringSplitOptions.TrimEntries);
        return lines.FirstOrDefault(line => line.EndsWith("not found", StringComparison.Ordinal)) is string missing
            ? throw new HostException($"{Path.GetFileName(program)} of Debian's Xen lacks a library on this host: {missing}")
            : [.. lines.SelectMany(line => line.Split(' ')).Where(word => word.StartsWith('/'))];
    }
}
