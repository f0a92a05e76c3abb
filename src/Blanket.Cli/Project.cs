using System;
using System.IO;
using Blanket.Lab.Hosting;

namespace Blanket.Cli;

/// <summary>The project's own directory.</summary>
internal static class Project
{
    private const string Marker = "Blanket.slnx";

    private static readonly Lazy<string> LazyRoot = new(FindRoot);

    /// <summary>Absolute path of the directory with <c>Blanket.slnx</c>.</summary>
    internal static string Root => LazyRoot.Value;

    /// <summary>The hypervisor's image.</summary>
    internal static string Image => Path.Combine(Root, "artifacts", "blanket.elf");

    private static string FindRoot()
    {
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, Marker)))
            {
                return directory.FullName;
            }
        }

        throw new HostException($"there is no {Marker} above {AppContext.BaseDirectory}; run ./blanket from a clone of the project");
    }
}
