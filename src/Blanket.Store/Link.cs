namespace Blanket.Store;

/// <summary>Slab indexes used as links.</summary>
internal static class Link
{
    /// <summary>The end of a list; no record.</summary>
    internal const int None = -1;
}
