using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading;
using System.Threading.Tasks;
using Blanket.Lab.DefaultGuest;
using Blanket.Lab.Hosting;

namespace Blanket.Boot.Tests;

/// <summary>Programs out of Debian packages with the libraries that they are linked to, for test guests and, without being installed, for the host.</summary>
/// <param name="root">Directory with <c>bin</c> and <c>lib</c>.</param>
internal sealed partial class GuestPrograms(string root)
{
    private const string Loader = "ld-linux-x86-64.so.2";

    /// <summary>Where Debian's dynamic loader looks for libraries.</summary>
    private const string LibraryPath = "lib/x86_64-linux-gnu";

    private static readonly DebianPackages s_packages = new(static _ => { });

    /// <summary>Where they are.</summary>
    internal string Root => root;

    /// <summary>Takes programs from packages of the same names; kept in the cache.</summary>
    internal static async Task<GuestPrograms> PrepareAsync(params IReadOnlyList<string> names)
    {
        string directory = await CacheDirectory.OnceAsync(Path.Combine("guest-programs", string.Join('-', names)), async draft =>
        {
            Directory.CreateDirectory(Path.Combine(draft, "bin"));
            Directory.CreateDirectory(Path.Combine(draft, "lib"));
            foreach (string name in names)
            {
                string program = Find(await UnpackAsync(name), name, "bin") ?? throw new HostException($"the package {name} has no program {name}");
                File.Copy(program, Path.Combine(draft, "bin", name));
                await CopyLibrariesAsync(program, name, draft);
            }
        });
        return new GuestPrograms(directory);
    }

    /// <summary>An archive for the kernel to unpack behind the initramfs.</summary>
    internal byte[] ToArchive()
    {
        CpioArchive archive = new();
        archive.AddDirectory("lib64");
        archive.AddDirectory(LibraryPath);
        foreach (string program in Directory.EnumerateFiles(Path.Combine(root, "bin")))
        {
            archive.AddFile("bin/" + Path.GetFileName(program), File.ReadAllBytes(program), executable: true);
        }

        foreach (string library in Directory.EnumerateFiles(Path.Combine(root, "lib")))
        {
            string name = Path.GetFileName(library);
            archive.AddFile(name == Loader ? "lib64/" + name : $"{LibraryPath}/{name}", File.ReadAllBytes(library), executable: true);
        }

        return archive.ToArray();
    }

    /// <summary>Copies what a file of a package is linked to, and what that is linked to.</summary>
    private static async Task CopyLibrariesAsync(string file, string package, string draft)
    {
        ToolResult result = await Tool.RequireAsync("readelf", ["-d", file]);
        foreach (string name in Needed().Matches(result.Text).Select(match => match.Groups[1].Value))
        {
            string copy = Path.Combine(draft, "lib", name);
            if (!File.Exists(copy))
            {
                (string path, string owner) = await FindLibraryAsync(name, package);
                File.Copy(path, copy);
                await CopyLibrariesAsync(path, owner, draft);
            }
        }
    }

    /// <summary>A library is in the package itself or in one that it depends on.</summary>
    private static async Task<(string Path, string Package)> FindLibraryAsync(string name, string package)
    {
        const string key = "Depends: ";
        ToolResult result = await Tool.RequireAsync("apt-cache", ["depends", "--no-recommends", "--no-suggests", package]);
        IEnumerable<string> dependencies = result.Text.Split('\n').Select(line => line.Trim(' ', '|'))
            .Where(line => line.StartsWith(key, StringComparison.Ordinal))
            .Select(line => line[key.Length..])
            .Where(dependency => dependency.StartsWith("lib", StringComparison.Ordinal) || dependency == "zlib1g");
        foreach (string candidate in dependencies.Prepend(package))
        {
            if (Find(await UnpackAsync(candidate), name, "lib") is string path)
            {
                return (path, candidate);
            }
        }

        throw new HostException($"neither {package} nor what it depends on has {name}");
    }

    private static Task<string> UnpackAsync(string package) => s_packages.UnpackAsync(package, null, CancellationToken.None);

    /// <summary>A file of an unpacked package, in a directory whose path has a word in it.</summary>
    private static string? Find(string directory, string name, string place) =>
        Directory.EnumerateFiles(directory, name, SearchOption.AllDirectories)
            .FirstOrDefault(path => Path.GetDirectoryName(path)![directory.Length..].Contains(place, StringComparison.Ordinal));

    [GeneratedRegex(@"\(NEEDED\).*\[(.+)\]")]
    private static partial Regex Needed();
}
