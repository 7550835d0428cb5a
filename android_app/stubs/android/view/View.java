package android.view;

public class View {
    public interface OnClickListener {
        void onClick(View view);
    }

    public View(android.content.Context context) {}
    public void setOnClickListener(OnClickListener listener) {}
}
