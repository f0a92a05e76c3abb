using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.Kernels;

namespace Blanket.Lab.DefaultGuest;

/// <summary>A kernel module ready for insmod.</summary>
/// <param name="Name">With underscores.</param>
/// <param name="Content">The object file, not compressed.</param>
public sealed record KernelModule(string Name, byte[] Content);

/// <summary>Finds modules and what they depend on in a kernel package's module tree, without depmod's files.</summary>
public sealed class KernelModules
{
    private static readonly string[] Suffixes = [".ko", ".ko.xz", ".ko.gz", ".ko.zst"];

    private readonly Dictionary<string, string> _pathByName;

    /// <summary>Modules under a directory.</summary>
    public KernelModules(string directory)
    {
        _pathByName = new(StringComparer.Ordinal);
        foreach (string path in Directory.EnumerateFiles(directory, "*.ko*", SearchOption.AllDirectories))
        {
            string file = Path.GetFileName(path);
            if (Suffixes.FirstOrDefault(suffix => file.EndsWith(suffix, StringComparison.Ordinal)) is string suffix)
            {
                _pathByName[Normalise(file[..^suffix.Length])] = path;
            }
        }
    }

    /// <summary>The named modules, each after those that it depends on. Names that the kernel has built in are left out.</summary>
    public async Task<IReadOnlyList<KernelModule>> LoadAsync(IEnumerable<string> names, CancellationToken cancellation)
    {
        List<KernelModule> ordered = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        foreach (string name in names)
        {
            await AddAsync(Normalise(name), ordered, seen, cancellation).ConfigureAwait(false);
        }

        return ordered;
    }

    /// <summary>
    /// Adds the named modules, and those that they depend on, to an archive that has <c>lib/modules</c>: files there, and <c>order</c> with
    /// their names in the order in which they can be loaded.
    /// </summary>
    public async Task AddToAsync(CpioArchive archive, IEnumerable<string> names, CancellationToken cancellation)
    {
        IReadOnlyList<KernelModule> modules = await LoadAsync(names, cancellation).ConfigureAwait(false);
        foreach (KernelModule module in modules)
        {
            archive.AddFile($"lib/modules/{module.Name}.ko", module.Content);
        }

        archive.AddFile("lib/modules/order", Encoding.ASCII.GetBytes(string.Concat(modules.Select(module => $"{module.Name}.ko\n"))));
    }

    /// <summary>The names that a module's <c>depends=</c> entry lists.</summary>
    public static IEnumerable<string> Dependencies(ReadOnlyMemory<byte> module)
    {
        const string key = "depends=";
        ElfFile elf = ElfFile.Parse(module);
        return elf.Sections.Where(section => section.Name == ".modinfo")
            .SelectMany(section => Encoding.ASCII.GetString(elf.Content(section).Span).Split('\0'))
            .Where(entry => entry.StartsWith(key, StringComparison.Ordinal))
            .SelectMany(entry => entry[key.Length..].Split(',', StringSplitOptions.RemoveEmptyEntries))
            .Select(Normalise);
    }

    private static string Normalise(string name) => name.Replace('-', '_');

    private async Task AddAsync(string name, List<KernelModule> ordered, HashSet<string> seen, CancellationToken cancellation)
    {
        if (!seen.Add(name) || !_pathByName.TryGetValue(name, out string? path))
        {
            return;
        }

        byte[] content = await File.ReadAllBytesAsync(path, cancellation).ConfigureAwait(false);
        if (Compression.Recognise(content) is Compression compression)
        {
            content = await compression.DecompressAsync(content, cancellation).ConfigureAwait(false);
        }

        foreach (string dependency in Dependencies(content))
        {
            await AddAsync(dependency, ordered, seen, cancellation).ConfigureAwait(false);
        }

        ordered.Add(new KernelModule(name, content));
    }
}
